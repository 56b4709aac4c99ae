//! The requests of other guardrails' clients, put to a real process: what is documented
//! of each peer, and that every request of the `OpenAPI` document is answered as it says.

use serde_json::{Value, json};

use crate::program::Folder;
use crate::server::Server;

const DANGER: &str = "i dont want to be here tomorrow";
/// In a script that the model was not trained on.
const UNREAD: &str = "\u{5e84}\u{5b50}\u{6076}\u{4e4e}\u{5f85}\u{54c9}\u{5e84}\u{5b50}\u{6076}\u{4e4e}";
const CALM: &str = "what is a good way to cook rice";

fn ask(server: &Server, path: &str, headers: &str, request: &Value) -> (u16, Value) {
    let answer = server.ask("POST", path, headers, &request.to_string()).expect("an answer");
    (answer.status, serde_json::from_str(&answer.body).expect("JSON"))
}

fn document(server: &Server) -> Value {
    let answer = server.ask("GET", "/openapi.json", "", "").expect("an answer");
    serde_json::from_str(&answer.body).expect("JSON")
}

/// A schema of the document, with the document's others beside it.
fn validator(document: &Value, mut schema: Value) -> jsonschema::Validator {
    schema["components"] = document["components"].clone();
    jsonschema::draft202012::new(&schema).expect("a schema")
}

fn errors(document: &Value, schema: &Value, instance: &Value) -> Vec<String> {
    validator(document, schema.clone()).iter_errors(instance).map(|error| error.to_string()).collect()
}

fn with_parameters(path: &str, operation: &Value) -> String {
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    parameters.filter(|parameter| parameter["in"] == "path").fold(path.to_owned(), |path, parameter| {
        let value = parameter["schema"]["enum"][0].as_str().expect("a value");
        path.replace(&format!("{{{}}}", parameter["name"].as_str().expect("a name")), value)
    })
}

#[test]
fn every_request_of_the_document_is_answered_as_the_document_says() {
    let folder = Folder::new();
    let server = Server::start(&folder);
    let document = document(&server);
    let mut answered = 0;
    for (path, verbs) in document["paths"].as_object().expect("paths") {
        for (verb, operation) in verbs.as_object().expect("verbs") {
            let example = &operation["requestBody"]["content"]["application/json"];
            let body = if example.is_null() { String::new() } else { example["example"].to_string() };
            if operation["tags"][0] == "proxy" {
                // There is no assistant behind it here; `tests/proxy.rs` has one.
                continue;
            }
            let mut path = with_parameters(path, operation);
            if operation["tags"][0] == "reports" {
                path.push_str("?jurisdiction=US-CA&year=2026");
            }
            let answer = server.ask(&verb.to_uppercase(), &path, "", &body).expect("an answer");
            assert_eq!(answer.status, 200, "{path}: {}", answer.body);
            if !example.is_null() {
                assert_eq!(errors(&document, &example["schema"], &example["example"]), [""; 0], "{path}");
            }
            let schema = &operation["responses"]["200"]["content"]["application/json"]["schema"];
            if !schema.is_null() {
                let answer: Value = serde_json::from_str(&answer.body).expect("JSON");
                assert_eq!(errors(&document, schema, &answer), [""; 0], "{path}: {answer}");
            }
            answered += 1;
        }
    }
    assert!(answered >= 18, "only {answered}");
}

#[test]
fn every_error_is_answered_as_the_document_says() {
    let folder = Folder::new();
    let server = Server::start(&folder);
    let document = document(&server);
    for (path, verbs) in document["paths"].as_object().expect("paths") {
        let operation = &verbs["post"];
        let path = with_parameters(path, operation);
        for (verb, body) in [("POST", "zebra"), ("POST", "{\"zebra\": 1}"), ("POST", "[]"), ("DELETE", "")] {
            let answer = server.ask(verb, &path, "", body).expect("an answer");
            assert!((400..500).contains(&answer.status), "{path}: {}", answer.status);
            let said: Value = serde_json::from_str(&answer.body).expect("JSON");
            assert!(!answer.body.contains("zebra"), "{path}: {said}");
            if operation.is_null() || verb == "DELETE" {
                assert_eq!(answer.status, 405, "{path}: {said}");
                assert!(answer.body.contains("method_not_allowed"), "{path}: {said}");
            }
            if operation.is_null() {
                continue;
            }
            let response = &operation["responses"][answer.status.to_string()];
            let schema = &response["content"]["application/json"]["schema"];
            assert_eq!(errors(&document, schema, &said), [""; 0], "{path}: {said}");
        }
    }
}

#[test]
fn the_document_is_what_it_was() {
    let folder = Folder::new();
    let server = Server::start(&folder);
    insta::assert_json_snapshot!("openapi", document(&server));
}

#[test]
fn moderations_flag_danger_and_what_was_not_evaluated_and_nothing_else() {
    let folder = Folder::new();
    let server = Server::start(&folder);
    let results = |input: Value| {
        let (status, answer) = ask(&server, "/v1/moderations", "", &json!({"input": input, "new": 1}));
        assert_eq!(status, 200, "{answer}");
        answer["results"].as_array().expect("results").clone()
    };
    let both = results(json!([CALM, DANGER]));
    assert_eq!((&both[0]["flagged"], &both[1]["flagged"]), (&json!(false), &json!(true)), "{both:?}");
    assert_eq!(both[1]["category_scores"]["sexual/minors"], 0.0);
    assert_eq!(both[1]["category_applied_input_types"]["sexual/minors"], json!([]));
    let intent = |result: &Value| result["category_scores"]["self-harm/intent"].as_f64().expect("a score");
    assert!(intent(&both[1]) > intent(&both[0]));
    let image = json!({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}});
    let parts = results(json!([{"type": "text", "text": CALM}, image]));
    assert_eq!((parts.len(), &parts[0]["flagged"]), (1, &json!(true)), "{parts:?}");
    assert_eq!(parts[0]["not_evaluated"], json!(["non_text_part"]));
}

#[test]
fn a_flagged_category_is_never_below_one_that_is_not_flagged_for_a_calmer_text() {
    let folder = Folder::new();
    let server = Server::start(&folder);
    let (_, answer) = ask(&server, "/v1/moderations", "", &json!({"input": [CALM, DANGER]}));
    for result in answer["results"].as_array().expect("results") {
        let categories = result["categories"].as_object().expect("categories");
        assert_eq!(categories.len(), 13);
        let any = categories.values().any(|flagged| flagged == true);
        assert!(!any || result["flagged"] == true, "{result}");
    }
}

#[test]
fn detectors_answer_by_their_ids_with_offsets_in_characters() {
    let folder = Folder::new();
    let server = Server::start(&folder);
    let text = format!("{DANGER} \u{1f494}");
    let request = json!({"contents": [CALM, text], "detector_params": {"threshold": 0.3, "method": "x"}});
    let detect = |id: &str| {
        let (status, answer) =
            ask(&server, "/api/v1/text/contents", &format!("detector-id: {id}\r\n"), &request);
        assert_eq!(status, 200, "{answer}");
        answer
    };
    let verdict = detect("mindrail");
    assert_eq!(verdict[0], json!([]), "{verdict}");
    assert_eq!(verdict[1][0]["end"], text.chars().count());
    assert_eq!((&verdict[1][0]["text"], &verdict[1][0]["score"]), (&json!(text), &json!(1.0)));
    assert!(["support", "escalate"].contains(&verdict[1][0]["detection_type"].as_str().expect("a type")));
    assert!(!detect("distress")[1].as_array().expect("detections").is_empty());
    let (status, answer) =
        ask(&server, "/api/v1/text/contents", "detector-id: en_syntax_slate.38m.hap\r\n", &request);
    assert_eq!((status, &answer["code"]), (404, &json!(404)));
    assert!(answer["message"].as_str().expect("a message").contains("distress"));
    let health = server.ask("GET", "/health", "", "").expect("an answer");
    assert_eq!((health.status, health.body.as_str()), (200, "\"ok\""));
}

#[test]
fn a_text_that_cannot_be_read_is_not_evaluated_in_every_peers_words() {
    let folder = Folder::new();
    let server = Server::start(&folder);
    let unread = UNREAD;
    let (_, fms) = ask(&server, "/api/v1/text/contents", "", &json!({"contents": [unread]}));
    let types: Vec<&Value> =
        fms[0].as_array().expect("detections").iter().map(|found| &found["detection_type"]).collect();
    assert!(types.contains(&&json!("not_evaluated")), "{fms}");
    let (_, tei) = ask(&server, "/predict", "", &json!({"inputs": unread}));
    assert_eq!(tei[0], json!({"label": "not_evaluated", "score": 1.0}), "{tei}");
    let (_, vllm) = ask(&server, "/classify", "", &json!({"model": "mindrail", "input": unread}));
    assert_ne!(vllm["data"][0]["label"], "allow", "{vllm}");
    assert_eq!(vllm["data"][0]["probs"][3], 1.0, "{vllm}");
    let (_, kserve) = ask(&server, "/v1/models/mindrail:predict", "", &json!({"instances": [unread]}));
    assert_eq!(kserve["predictions"][0]["not_evaluated"], 1.0, "{kserve}");
    let (_, openai) = ask(&server, "/v1/moderations", "", &json!({"input": unread}));
    assert_eq!(openai["results"][0]["flagged"], true, "{openai}");
    let request = json!({"input_type": "request", "texts": [unread]});
    let (_, litellm) = ask(&server, "/beta/litellm_basic_guardrail_api", "", &request);
    assert_ne!(litellm["action"], "NONE", "{litellm}");
    let request = json!({"body": {"messages": [{"role": "user", "content": unread}]}});
    let (_, gateway) = ask(&server, "/adapters/agentgateway/request", "", &request);
    assert!(gateway["action"]["reason"].as_str().expect("a reason").contains("not_evaluated"), "{gateway}");
}

#[test]
fn a_conversation_and_a_generation_are_judged_by_the_side_that_a_detector_reads() {
    let folder = Folder::new();
    let server = Server::start(&folder);
    let types = |path: &str, id: &str, request: &Value| {
        let (status, answer) = ask(&server, path, &format!("detector-id: {id}\r\n"), request);
        assert_eq!(status, 200, "{answer}");
        let detections = answer.as_array().expect("detections").clone();
        detections.iter().map(|found| found["detection_type"].to_string()).collect::<Vec<_>>()
    };
    let said = |role: &str, text: &str| json!({"role": role, "content": text});
    let rude = "Stop whining, nobody cares about that.";
    let chat = json!({"messages": [said("user", DANGER), said("assistant", rude)]});
    assert_eq!(types("/api/v1/text/chat", "mindrail-reply", &chat), ["\"block\""]);
    assert!(!types("/api/v1/text/chat", "mindrail", &chat).is_empty());
    let generation = json!({"prompt": DANGER, "generated_text": rude});
    assert_eq!(types("/api/v1/text/generation", "mindrail-reply", &generation), ["\"block\""]);
    assert!(types("/api/v1/text/generation", "reply", &generation).len() <= 7);
    let asks = json!({"messages": [said("user", DANGER)]});
    let (status, answer) = ask(&server, "/api/v1/text/chat", "detector-id: harm\r\n", &asks);
    assert_eq!((status, &answer[0]["detection_type"]), (200, &json!("not_evaluated")), "{answer}");
    let (status, answer) = ask(&server, "/api/v1/text/chat", "", &json!({"messages": []}));
    assert_eq!((status, &answer["code"]), (422, &json!(422)));
    let (status, _) = ask(&server, "/api/v1/text/context/doc", "", &json!({}));
    assert_eq!(status, 404);
}

#[test]
fn litellm_blocks_with_words_for_the_person_and_without_a_label() {
    let folder = Folder::new();
    let server = Server::start(&folder);
    let path = "/beta/litellm_basic_guardrail_api";
    let request = |messages: Value| {
        json!({
            "input_type": "request", "texts": ["x"], "structured_messages": messages, "images": null,
            "tools": null, "tool_calls": null, "request_data": {"user_api_key_alias": "a"},
            "request_headers": {"host": "x"}, "litellm_version": "1.80", "litellm_call_id": "c",
            "litellm_trace_id": null, "additional_provider_specific_params": {}, "model": "m",
        })
    };
    let user = |text: &str| json!([{"role": "user", "content": text}]);
    let (_, calm) = ask(&server, path, "", &request(user(CALM)));
    assert_eq!((&calm["action"], &calm["texts"]), (&json!("NONE"), &Value::Null), "{calm}");
    let (_, support) = ask(&server, path, "", &request(user(UNREAD)));
    assert_eq!((&support["action"], &support["texts"]), (&json!("GUARDRAIL_INTERVENED"), &json!(["x"])));
    let messages = &support["structured_messages"];
    assert_eq!((&messages[0], &messages[1]["role"]), (&user(UNREAD)[0], &json!("system")), "{support}");
    let grave = "i wrote the letter and gave my things away. i will do it tonight, i have everything here";
    let (_, blocked) = ask(&server, path, "", &request(user(grave)));
    assert_eq!(blocked["action"], "BLOCKED", "{blocked}");
    let words = blocked["blocked_reason"].as_str().expect("words");
    assert!(words.contains("You deserve"), "{words}");
    for label in ["risk", "escalate", "suicid", "confirm_", "flagged"] {
        assert!(!words.to_lowercase().contains(label), "{words}");
    }
    let texts = json!(["Stop whining, nobody cares about that."]);
    let (_, reply) = ask(&server, path, "", &json!({"input_type": "response", "texts": texts}));
    assert_eq!(reply["action"], "BLOCKED", "{reply}");
    assert!(reply["blocked_reason"].as_str().expect("words").len() > 40);
    let (status, _) = ask(&server, path, "", &json!({"input_type": "response", "texts": []}));
    assert_eq!(status, 422);
}

#[test]
fn agentgateway_rejects_with_words_and_masks_only_the_reply_that_must_not_be_shown() {
    let folder = Folder::new();
    let server = Server::start(&folder);
    let request = |text: &str| json!({"body": {"messages": [{"role": "user", "content": text}]}});
    let (_, calm) = ask(&server, "/adapters/agentgateway/request", "", &request(CALM));
    assert_eq!(calm, json!({"action": {"reason": "mindrail: allow, decision 1"}}));
    let grave = "i wrote the letter and gave my things away. i will do it tonight, i have everything here";
    let (_, reject) = ask(&server, "/adapters/agentgateway/request", "", &request(grave));
    assert_eq!(reject["action"]["status_code"], 403, "{reject}");
    assert!(reject["action"]["body"].as_str().expect("words").contains("You deserve"), "{reject}");
    let choice = |text: &str| json!({"message": {"role": "assistant", "content": text}});
    let kind = "I am really glad that you told me. Are you safe right now?";
    let choices =
        json!({"body": {"choices": [choice("Stop whining, nobody cares about that."), choice(kind)]}});
    let (_, mask) = ask(&server, "/adapters/agentgateway/response", "", &choices);
    let masked = &mask["action"]["body"]["choices"];
    assert_eq!(masked[1], choice(kind), "{mask}");
    let words = masked[0]["message"]["content"].as_str().expect("words");
    assert!(!words.contains("whining") && words.len() > 40, "{mask}");
}

#[test]
fn tei_sorts_labels_takes_pairs_and_batches_and_gives_logits() {
    let folder = Folder::new();
    let server = Server::start(&folder);
    let predict = |path: &str, request: Value| {
        let (status, answer) = ask(&server, path, "", &request);
        assert_eq!(status, 200, "{answer}");
        answer
    };
    let scores = |list: &Value| {
        let list = list.as_array().expect("labels").clone();
        list.iter().map(|found| found["score"].as_f64().expect("a score")).collect::<Vec<_>>()
    };
    let single =
        predict("/predict", json!({"inputs": DANGER, "truncate": true, "truncation_direction": "left"}));
    let probabilities = scores(&single);
    assert_eq!(probabilities.len(), 11);
    assert!(probabilities.is_sorted_by(|a, b| a >= b), "{probabilities:?}");
    let raw = scores(&predict("/predict", json!({"inputs": DANGER, "raw_scores": true})));
    for (raw, probability) in raw.iter().zip(&probabilities) {
        assert!((1.0 / (1.0 + (-raw).exp()) - probability).abs() < 1e-4, "{raw} {probability}");
    }
    let pair = predict("/predict", json!({"inputs": [DANGER, "I am glad that you told me."]}));
    assert_eq!(scores(&pair).len(), 9);
    assert!((scores(&pair).iter().sum::<f64>() - 1.0).abs() < 1e-3, "the classes sum to 1: {pair}");
    let batch = predict("/predict", json!({"inputs": [[CALM], [DANGER, "ok"]]}));
    assert_eq!((scores(&batch[0]).len(), scores(&batch[1]).len()), (11, 9));
    assert_eq!(scores(&predict("/adapters/tei/harm/predict", json!({"inputs": [DANGER, "ok"]}))).len(), 20);
    let (status, answer) = ask(&server, "/predict", "", &json!({"inputs": []}));
    assert_eq!((status, &answer["error_type"]), (422, &json!("validation")));
    let (status, answer) = ask(&server, "/adapters/tei/sentiment/predict", "", &json!({"inputs": "x"}));
    assert_eq!((status, &answer["error_code"]), (404, &json!("unknown_detector")));
}

#[test]
fn vllm_and_kserve_name_the_detector_as_their_model() {
    let folder = Folder::new();
    let server = Server::start(&folder);
    let (status, answer) =
        ask(&server, "/classify", "", &json!({"model": "distress", "input": [CALM, DANGER]}));
    assert_eq!(status, 200, "{answer}");
    assert_eq!((&answer["object"], &answer["data"][1]["index"]), (&json!("list"), &json!(1)));
    assert_eq!(answer["data"][0]["num_classes"], 11);
    let (status, answer) = ask(&server, "/classify", "", &json!({"model": "bert", "input": "x"}));
    assert_eq!((status, &answer["error"]["type"]), (404, &json!("not_found_error")), "{answer}");
    let (status, answer) = ask(&server, "/classify", "", &json!({"input": 7}));
    assert_eq!((status, &answer["error"]["type"]), (400, &json!("invalid_request_error")), "{answer}");
    let (_, answer) = ask(&server, "/v1/models/mindrail:predict", "", &json!({"instances": [CALM]}));
    assert_eq!(answer["predictions"][0]["allow"], 1.0, "{answer}");
    let (status, _) = ask(&server, "/v1/models/mindrail:explain", "", &json!({"instances": [CALM]}));
    assert_eq!(status, 404);
}

#[test]
fn every_decision_of_an_adapter_is_in_the_trail_and_none_without_an_answer() {
    let folder = Folder::new();
    let server = Server::start(&folder);
    let secret = [("MINDRAIL_API_KEY", "a-long-secret")];
    let (_, answer) = ask(&server, "/v1/moderations", "", &json!({"input": [CALM, DANGER]}));
    assert_eq!(answer["id"], "modr-1");
    ask(
        &server,
        "/api/v1/text/contents",
        "detector-id: harm\r\n",
        &json!({"contents": [CALM, DANGER, "ok"]}),
    );
    ask(&server, "/predict", "", &json!({"inputs": [[CALM], [DANGER, "ok"]]}));
    let (status, _) = ask(&server, "/predict", "", &json!({"inputs": [[CALM], []]}));
    assert_eq!(status, 422);
    drop(server);
    let ran = folder.run(&["audit", "verify"]);
    assert!(ran.stdout.starts_with("9:"), "{} {}", ran.stdout, ran.stderr);
    assert!(!folder.run(&["audit", "export"]).stdout.contains("tomorrow"));
    let server = Server::start_with(&folder, &secret);
    let (status, answer) = ask(&server, "/api/v1/text/contents", "", &json!({"contents": [CALM]}));
    assert_eq!((status, &answer["code"], &answer["error_code"]), (401, &json!(401), &json!("unauthorized")));
    let (status, _) =
        ask(&server, "/api/v1/text/contents", "x-api-key: a-long-secret\r\n", &json!({"contents": [CALM]}));
    assert_eq!(status, 200);
}
