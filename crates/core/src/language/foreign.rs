//! Evidence that a text is in a language other than English and French. Absence of
//! their words is not enough: a chat of slang, of games or of school subjects has few
//! function words in any language.
//!
//! The words are function words, of the closed classes, of languages in Latin letters.
//! A word that English or French has, in slang and loans too (`sin`, `das`, `og`), or
//! that is a common name (`Dan`, `Leo`), is in no list. Other scripts are told by
//! [`super::is_supported_script`].

use std::collections::BTreeSet;
use std::sync::LazyLock;

/// Function words by language, in alphabetical order.
const WORDS: [(&str, &str); 24] = [
    ("Albanian", "asgjë dhe gjithmonë nuk për shumë unë është"),
    ("Basque", "baina bihar dago dut ezer gaur naiz nire oso zer"),
    ("Catalan", "ahir amb aquest aquesta aquí avui demà els estic meva molt perquè però quan què també tinc"),
    (
        "Croatian",
        "bih bila danas ili jer još jučer kad kako moj moja nego netko nije nikad nisam nitko ništa \
         ovdje ovo sada samo smo sutra sve uvijek već više zašto znam što",
    ),
    (
        "Czech",
        "dnes ještě jsem jsi jsme když který moje mám mě můj není nikdy už velmi včera všechno vždy \
         zítra že",
    ),
    (
        "Danish and Norwegian",
        "altid blev det fordi går hadde havde hende hva hvad hvordan hvorfor ikke ingen ingenting jeg \
         meget mig mye når skal vil være været",
    ),
    (
        "Dutch",
        "aan altijd bij deze echt een geen gisteren heb hebben heeft het hij ik jij jullie maar mij \
         mijn naar niet niets nooit omdat ook toch uit vandaag voor waarom waren wij wordt zij",
    ),
    (
        "Finnish",
        "aina eilen enkä että huomenna hän joka kaikki kanssa koska koskaan kun miksi minua minulla \
         minulle minun minä mitään mutta myös niin olen olla ollut siitä sinun sinä tämä tänään vielä",
    ),
    (
        "German",
        "aber auch beim bist dass dich diese dieser dir doch ein eine einen einer für gestern habe \
         haben habt hast hatte heute ich ihr immer ist jetzt kann kannst kein keine mein meine mich mir \
         morgen muss nach nicht nichts noch nur oder schon sehr sich sie sind und vom warum weil wenn \
         wer werden wir wird wurde zum zur",
    ),
    (
        "Haitian Creole",
        "anpil anyen avè avèk demen fè jamè jodi kijan konnen lè manman mwen poukisa pèsonn tèt yè",
    ),
    (
        "Hungarian",
        "csak egy engem hogy holnap igen mert minden mindig már még nagyon nekem nem semmi soha tegnap \
         vagyok én és",
    ),
    (
        "Indonesian",
        "akan aku belum besok bisa bukan dari dengan dia ini itu juga kalau kami kamu karena kemarin \
         kita lagi mereka sangat saya siapa sudah tapi tidak untuk",
    ),
    (
        "Italian",
        "adesso agli alla anche ancora così dalla degli della delle dello domani essere faccio già \
         hanno ieri loro mio molto nel nella niente nostro oggi ogni perché più qualche quando quello \
         questa questo sempre siamo stato suo tuo tutte tutti vuole è",
    ),
    ("Lithuanian", "aš jau kodėl labai nieko rytoj visada yra šiandien"),
    (
        "Polish",
        "bardzo czy dlaczego dzisiaj dziś jak jego jej jestem jeszcze jutro już kiedy masz mnie mogę \
         moja mój nic nigdy przed przez się są tego teraz też tutaj tylko tym wczoraj wszystko zawsze \
         że",
    ),
    (
        "Portuguese",
        "agora ainda amanhã aqui até dela dele depois ela elas ele eles estou está fui hoje isso isto \
         já mesmo meu mim minha muito muitos ninguém nunca não nós onde ontem pela pelo porque posso \
         quando quem quero sem sempre seu só também tenho tudo você vocês vou",
    ),
    (
        "Romanian",
        "azi când că dar foarte fost ieri mâine mă niciodată nimeni nimic pentru sau să totul îmi îți \
         și știu",
    ),
    ("Somali", "aan ayaa iyo laakiin maanta uma waa waan waxa waxaan waxay waxba"),
    (
        "Spanish",
        "ahora aquí ayer cuando cómo desde después donde ellos ese estan esto estoy está están fue \
         hasta hoy mañana mismo mucho muy más mí nadie nosotros nunca otra otro pero porque puedo \
         quiero qué siempre siento somos sus también tengo tiene todavía todos ustedes",
    ),
    (
        "Swahili",
        "bado chochote hiyo huu kabisa kesho kila kitu kuna kwa kwamba kwenye lakini mtu nini tena wao \
         wewe yako yangu",
    ),
    (
        "Swedish",
        "aldrig alltid bara blir det detta där då eller från för här idag igår imorgon ingen ingenting \
         inte jag mig mycket när och också på så vara varför är",
    ),
    (
        "Tagalog",
        "ako bukas dahil hindi ikaw iyon kahapon kami kasi lahat mga naman namin nang ng ngayon niya \
         opo pero siya tayo wala walang",
    ),
    (
        "Turkish",
        "artık bana beni benim bir bugün daha değil hiç için kadar kimse nasıl neden onlar senin siz \
         sonra yarın yok çok çünkü şey şu",
    ),
    (
        "Vietnamese",
        "biet cua các cũng của duoc khong không mình một nhưng những này rất sẽ tôi vì với đang đã đó \
         được",
    ),
];

static ALL: LazyLock<BTreeSet<&str>> =
    LazyLock::new(|| WORDS.iter().flat_map(|(_, words)| words.split(' ')).collect());

/// Whether some language other than English and French has this function word, given
/// in lower case.
pub(super) fn is_function_word(word: &str) -> bool {
    ALL.contains(word)
}

/// Whether neither English nor French is written with this letter.
pub(super) fn is_letter(letter: char) -> bool {
    letter.is_alphabetic() && !letter.is_ascii() && !super::is_french_accented(letter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::{is_english, is_french};

    #[test]
    fn the_lists_are_in_order_and_hold_no_word_of_english_or_french() {
        for (language, words) in WORDS {
            let words: Vec<&str> = words.split(' ').collect();
            assert!(words.is_sorted_by(|a, b| a < b), "{language}");
            let ours: Vec<_> = words.iter().filter(|word| is_english(word) || is_french(word)).collect();
            assert!(ours.is_empty(), "{language}: {ours:?}");
        }
        assert!(WORDS.is_sorted_by_key(|(language, _)| *language));
    }
}
