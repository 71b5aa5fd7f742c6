//! Distinguished names (RFC 4514).

/// The name of an entry: an attribute with one value, then the entry above. The value is escaped (§2.4).
pub(super) fn entry(attribute: &str, value: &str, above: &str) -> String {
    let mut name = String::with_capacity(attribute.len() + value.len() + above.len() + 2);
    name.push_str(attribute);
    name.push('=');
    let last = value.chars().count().saturating_sub(1);
    for (at, character) in value.chars().enumerate() {
        match character {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' | '=' => {
                name.push('\\');
                name.push(character);
            }
            '#' if at == 0 => name.push_str("\\#"),
            ' ' if at == 0 || at == last => name.push_str("\\ "),
            '\0'..='\x1f' | '\x7f' => name.push_str(&format!("\\{:02x}", u32::from(character))),
            _ => name.push(character),
        }
    }
    name.push(',');
    name.push_str(above);
    name
}

/// Whether a text can name an attribute: a word, or numbers with dots (RFC 4512 §1.4).
pub(super) fn is_attribute(text: &str) -> bool {
    let word = |text: &str| {
        text.starts_with(|first: char| first.is_ascii_alphabetic())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let numbers =
        |text: &str| text.split('.').all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    word(text) || numbers(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_value_is_one_value() {
        for (value, escaped) in [
            ("acme", "acme"),
            ("Müller", "Müller"),
            ("a,ou=admins", "a\\,ou\\=admins"),
            ("a+b", "a\\+b"),
            (" a b ", "\\ a b\\ "),
            (" ", "\\ "),
            ("#a#", "\\#a#"),
            ("\"<>;\\", "\\\"\\<\\>\\;\\\\"),
            ("a\0b\n", "a\\00b\\0a"),
            ("*)(cn=*", "*)(cn\\=*"),
        ] {
            assert_eq!(entry("cn", value, "dc=x"), format!("cn={escaped},dc=x"), "{value:?}");
        }
    }

    #[test]
    fn attributes_are_words_or_numbers() {
        for good in ["cn", "uid", "x-y2", "2.5.4.3"] {
            assert!(is_attribute(good), "{good}");
        }
        for bad in ["", "c n", "2.5.", "2a", "cn=a", "-a", "cn,ou"] {
            assert!(!is_attribute(bad), "{bad}");
        }
    }

    /// What a reader of names makes of the first value, and where it ends.
    fn read(name: &str) -> (String, &str) {
        let (mut value, mut rest) = (String::new(), name.strip_prefix("cn=").unwrap().char_indices());
        let (mut bare_end, mut is_first) = (None, true);
        while let Some((at, character)) = rest.next() {
            assert!(!(is_first && " #".contains(character)), "{character} begins a value: {name}");
            is_first = false;
            if character == ',' {
                assert_ne!(bare_end, Some(' '), "a space ends a value: {name}");
                return (value, &name["cn=".len() + at + 1..]);
            }
            bare_end = Some(character).filter(|character| *character != '\\');
            match character {
                '\\' => match rest.next().unwrap().1 {
                    first @ ('0'..='9' | 'a'..='f') => {
                        let second = rest.next().unwrap().1;
                        let code = u32::from_str_radix(&format!("{first}{second}"), 16).unwrap();
                        value.push(char::from_u32(code).unwrap());
                    }
                    escaped => value.push(escaped),
                },
                '"' | '+' | ';' | '<' | '>' | '=' | '\0'..='\x1f' | '\x7f' => {
                    panic!("{character} stands there bare: {name}")
                }
                plain => value.push(plain),
            }
        }
        panic!("the value has no end: {name}");
    }

    proptest! {
        #[test]
        fn whatever_a_user_is_called_names_one_entry(value in "(?s).*") {
            let name = entry("cn", &value, "dc=x");
            let (read, rest) = read(&name);
            prop_assert_eq!((&*read, rest), (&*value, "dc=x"));
        }
    }
}
