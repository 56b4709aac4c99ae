//! Answers that leave out what was asked. "Yes" says what the question before it says: a
//! person who answers "Do you want to die?" so has said "i want to die", and one who answers
//! "Do you want fries?" so has not. A model that reads turn by turn sees the word alone, so
//! such an answer is read together with the question in the person's own words.
//!
//! It is no grammar: a few words change their person, and a short answer without a "no" in
//! it is taken for a yes. A question that is harmless stays so in these words.

/// Words of an answer that leaves out what was asked.
const MOST_WORDS: usize = 3;

/// Words with which an answer does not say what was asked.
const DENIALS: [&str; 26] = [
    "no", "nope", "nah", "naw", "not", "never", "none", "nothing", "neither", "dont", "don't", "didnt",
    "didn't", "isnt", "isn't", "wont", "won't", "cant", "can't", "non", "nan", "nenni", "pas", "jamais",
    "rien", "pantoute",
];

/// What the listener calls the person, and what the person calls themselves.
const PERSONS: [(&str, &str); 22] = [
    ("you", "i"),
    ("u", "i"),
    ("your", "my"),
    ("ur", "my"),
    ("yours", "mine"),
    ("yourself", "myself"),
    ("you're", "i'm"),
    ("you've", "i've"),
    ("you'd", "i'd"),
    ("are", "am"),
    ("tu", "je"),
    ("te", "me"),
    ("toi", "moi"),
    ("ton", "mon"),
    ("ta", "ma"),
    ("tes", "mes"),
    ("t", "m"),
    ("as", "ai"),
    ("es", "suis"),
    ("vous", "je"),
    ("votre", "mon"),
    ("vos", "mes"),
];

/// Whether a person's turn is so short that it says what was asked, and does not deny it.
pub(crate) fn is_bare_answer(text: &str) -> bool {
    let text = text.to_lowercase().replace('\u{2019}', "'");
    let words: Vec<&str> = text.split(|c: char| !c.is_alphanumeric() && c != '\'').collect();
    let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
    words.len() <= MOST_WORDS
        && !text.contains('?')
        && !text.contains('\u{1F44E}')
        && !words.iter().any(|word| DENIALS.contains(word))
}

/// The questions of a listener's turn as the person would say them; none where it asks
/// nothing.
pub(crate) fn asked(text: &str) -> Option<String> {
    let text = text.replace('\u{2019}', "'");
    let mut said = String::new();
    for (place, _) in text.match_indices('?') {
        let begins = text[..place].rfind(['.', '!', '?', '\n']).map_or(0, |end| end + 1);
        let question = text[begins..place].trim();
        if !question.is_empty() {
            said += &in_first_person(question);
            said += ". ";
        }
    }
    let said = said.trim_end().to_owned();
    (!said.is_empty()).then_some(said)
}

fn in_first_person(question: &str) -> String {
    let mut said = String::with_capacity(question.len());
    let mut word = String::new();
    for c in question.chars().chain([' ']) {
        // An apostrophe belongs to an English word and ends a French one.
        if c.is_alphanumeric() || (c == '\'' && !is_elided(&word)) {
            word.push(c);
            continue;
        }
        said += other_person(&word).unwrap_or(&word);
        word.clear();
        said.push(c);
    }
    said.trim_end().to_owned()
}

/// Whether a French word of one letter stands before an apostrophe, as in "t'as".
fn is_elided(word: &str) -> bool {
    word.chars().count() == 1 || word.eq_ignore_ascii_case("qu")
}

fn other_person(word: &str) -> Option<&'static str> {
    let word = word.to_lowercase();
    PERSONS.iter().find(|(theirs, _)| *theirs == word).map(|(_, own)| *own)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_few_words_without_a_denial_are_a_bare_answer() {
        for (text, expected) in [
            ("yes", true),
            ("Yeah.", true),
            ("every single night", true),
            ("oui", true),
            ("les deux", true),
            ("👍", true),
            ("no", false),
            ("nah im good", false),
            ("pas vraiment", false),
            ("i don’t", false),
            ("👎", false),
            ("why?", false),
            ("yes and i have a plan", false),
        ] {
            assert_eq!(is_bare_answer(text), expected, "{text}");
        }
    }

    #[test]
    fn a_question_is_said_as_the_person_would_say_it() {
        for (question, expected) in [
            ("Are you ok?", Some("am i ok.")),
            (
                "I hear you. Do you want to be dead? Is your dad home?",
                Some("Do i want to be dead. Is my dad home."),
            ),
            ("You’re sure it hurts?", Some("i'm sure it hurts.")),
            ("T'as envie de manger ?", Some("m'ai envie de manger.")),
            ("Est-ce que tu penses à ton chat ?", Some("Est-ce que je penses à mon chat.")),
            ("That sounds hard.", None),
            ("?", None),
            ("", None),
        ] {
            assert_eq!(asked(question).as_deref(), expected, "{question}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "\\PC*") {
            is_bare_answer(&text);
            asked(&text);
        }
    }
}
