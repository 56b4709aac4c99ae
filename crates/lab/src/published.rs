//! Published figures of other systems, one file for each protocol: every row with
//! its source and with what keeps it from being compared. They stand in reports
//! beside the measured ones and nowhere in a calculation.

pub mod crisis;
pub mod distress;
pub mod harm;
pub mod reply;
