//! The length classes by which conversations are sliced.

use mindrail_core::conversation::{Conversation, Role};

/// The conversation's length class, by user turns. The names sort in order.
pub(super) fn length(conversation: &Conversation) -> &'static str {
    match conversation.turns.iter().filter(|turn| turn.role == Role::User).count() {
        0..=1 => "01 user turn",
        2..=4 => "02-04 user turns",
        5..=8 => "05-08 user turns",
        9..=16 => "09-16 user turns",
        _ => "17+ user turns",
    }
}

#[cfg(test)]
mod tests {
    use mindrail_core::conversation::Turn;

    use super::*;

    #[test]
    fn length_counts_user_turns_only() {
        let turn = |role| Turn { role, text: String::new() };
        let turns = [Role::User, Role::Assistant, Role::User, Role::Assistant].map(turn).to_vec();
        assert_eq!(length(&Conversation { id: None, turns }), "02-04 user turns");
    }
}
