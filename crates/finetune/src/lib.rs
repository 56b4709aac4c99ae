//! Fine-tuning and inference of checkpoints from the hub: encoders (BERT, `RoBERTa`,
//! XLM-R, `DistilBERT`, MiniLM, `ModernBERT`) and decoders (Qwen, Llama) with LoRA, the
//! recipes of the published works, and what makes a trained model an assessor.
//!
//! Promises: files in, files out; no HTTP, no database, no async runtime, no unsafe code.
#![forbid(unsafe_code)]
