//! The two messages of a log-in, in BER (RFC 4511 §4.2, §5.1).
//!
//! This is all of LDAP that a simple bind needs: one message out, one in, both bounded. A library would bring a session with a
//! task of its own, and buffers that a directory decides the size of.

/// Longer answers are none: a code and a short text are expected.
pub(super) const MAX_ANSWER: usize = 16 * 1024;

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const ENUMERATED: u8 = 0x0a;
/// `[APPLICATION 0]`, constructed.
const BIND_REQUEST: u8 = 0x60;
/// `[APPLICATION 1]`, constructed.
const BIND_RESPONSE: u8 = 0x61;
/// `[0]`, primitive: the password of simple authentication.
const SIMPLE: u8 = 0x80;

/// The id of the one request on a connection.
const ID: &[u8] = &[1];

/// Says goodbye: an unbind request with the next id.
pub(super) const UNBIND: [u8; 7] = [SEQUENCE, 5, INTEGER, 1, 2, 0x42, 0];

/// A simple bind of version 3.
pub(super) fn bind(name: &str, password: &[u8]) -> Vec<u8> {
    let mut request = element(INTEGER, &[3]);
    request.extend(element(OCTETS, name.as_bytes()));
    request.extend(element(SIMPLE, password));
    let mut message = element(INTEGER, ID);
    message.extend(element(BIND_REQUEST, &request));
    element(SEQUENCE, &message)
}

/// What a directory answered to a bind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It is his password.
    Right,
    /// It is not, or he may not log in.
    Wrong,
    /// Something else; the code of RFC 4511 §4.1.9.
    Fault(u8),
}

/// Why bytes are no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// Not all of it is there yet.
    More,
    /// It never will be one.
    Nonsense,
}

/// Reads the answer to the one request of a connection.
pub(super) fn answer(bytes: &[u8]) -> Result<Answer, Unread> {
    // only the message as a whole may be incomplete
    let (message, _) = take(SEQUENCE, bytes)?;
    let inside = |taken: Result<_, Unread>| taken.map_err(|_| Unread::Nonsense);
    let (id, rest) = inside(take(INTEGER, message))?;
    if id != ID {
        return Err(Unread::Nonsense);
    }
    let (response, _) = inside(take(BIND_RESPONSE, rest))?;
    let (code, _) = inside(take(ENUMERATED, response))?;
    match code {
        [0] => Ok(Answer::Right),
        // noSuchObject, invalidDNSyntax, inappropriateAuthentication, invalidCredentials, insufficientAccessRights,
        // unwillingToPerform, constraintViolation: whatever it is, this user does not get in
        [19 | 32 | 34 | 48 | 49 | 50 | 53] => Ok(Answer::Wrong),
        [code] => Ok(Answer::Fault(*code)),
        _ => Err(Unread::Nonsense),
    }
}

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    match u8::try_from(content.len()) {
        Ok(length) if length < 0x80 => bytes.push(length),
        _ => {
            let length = content.len().to_be_bytes();
            let length = length.iter().position(|byte| *byte != 0).and_then(|first| length.get(first..)).unwrap_or(&[]);
            bytes.push(0x80 | u8::try_from(length.len()).unwrap_or(0));
            bytes.extend_from_slice(length);
        }
    }
    bytes.extend_from_slice(content);
    bytes
}

/// The content of the first element, which has that tag, and what follows it. Lengths are definite (§5.1).
fn take(tag: u8, bytes: &[u8]) -> Result<(&[u8], &[u8]), Unread> {
    let (first, rest) = bytes.split_first().ok_or(Unread::More)?;
    if *first != tag {
        return Err(Unread::Nonsense);
    }
    let (first, rest) = rest.split_first().ok_or(Unread::More)?;
    let (length, rest) = match *first {
        short @ 0..=0x7f => (usize::from(short), rest),
        long @ 0x81..=0x84 => {
            let (length, rest) = rest.split_at_checked(usize::from(long & 0x7f)).ok_or(Unread::More)?;
            (length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return Err(Unread::Nonsense),
    };
    if length > MAX_ANSWER {
        return Err(Unread::Nonsense);
    }
    rest.split_at_checked(length).ok_or(Unread::More)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An answer with that code, an empty name and this text.
    fn answering(code: u8, text: &str) -> Vec<u8> {
        let mut response = element(ENUMERATED, &[code]);
        response.extend(element(OCTETS, b""));
        response.extend(element(OCTETS, text.as_bytes()));
        let mut message = element(INTEGER, ID);
        message.extend(element(BIND_RESPONSE, &response));
        element(SEQUENCE, &message)
    }

    #[test]
    fn a_bind_is_what_other_clients_send() {
        // what OpenLDAP's `ldapwhoami -x -D cn=a -w pw` sends
        let due = b"\x30\x12\x02\x01\x01\x60\x0d\x02\x01\x03\x04\x04cn=a\x80\x02pw";
        assert_eq!(bind("cn=a", b"pw"), due);
    }

    #[test]
    fn lengths_of_more_than_a_byte_are_written_and_read() {
        for length in [0, 1, 0x7f, 0x80, 0xff, 0x100, 0x1234] {
            let content = vec![7; length];
            let written = element(OCTETS, &content);
            assert_eq!(take(OCTETS, &written), Ok((&*content, &[][..])), "{length}");
        }
        assert_eq!(element(OCTETS, &[0; 0x80])[..3], [OCTETS, 0x81, 0x80]);
        assert_eq!(element(OCTETS, &[0; 0x1234])[..4], [OCTETS, 0x82, 0x12, 0x34]);
    }

    #[test]
    fn answers_are_right_wrong_or_a_fault() {
        for (code, wanted) in [
            (0, Answer::Right),
            (49, Answer::Wrong),
            (32, Answer::Wrong),
            (53, Answer::Wrong),
            (1, Answer::Fault(1)),
            (51, Answer::Fault(51)),
            (13, Answer::Fault(13)),
            (10, Answer::Fault(10)),
        ] {
            for text in ["", "a text of the directory", &"long ".repeat(99)] {
                let whole = answering(code, text);
                assert_eq!(answer(&whole), Ok(wanted), "{code}");
                for cut in 0..whole.len() {
                    assert_eq!(answer(&whole[..cut]), Err(Unread::More), "{code} cut at {cut}");
                }
            }
        }
    }

    #[test]
    fn nonsense_is_told_at_once() {
        for bytes in [
            &b"HTTP/1.1 400 Bad Request\r\n"[..],
            // another id; not a bind's answer; no code; a code of two bytes; a length without end; too long a length
            b"\x30\x0c\x02\x01\x02\x61\x07\x0a\x01\x00\x04\x00\x04\x00",
            b"\x30\x0c\x02\x01\x01\x65\x07\x0a\x01\x00\x04\x00\x04\x00",
            b"\x30\x05\x02\x01\x01\x61\x00",
            b"\x30\x09\x02\x01\x01\x61\x04\x0a\x02\x00\x00",
            b"\x30\x80\x02\x01\x01",
            b"\x30\x84\x7f\xff\xff\xff",
            b"\x30\x85\x00\x00\x00\x00\x01",
            // an inner element that is longer than what is around it
            b"\x30\x05\x02\x01\x01\x61\x09",
        ] {
            assert_eq!(answer(bytes), Err(Unread::Nonsense), "{bytes:02x?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = answer(&bytes);
        }

        #[test]
        fn a_bind_reads_back(name in ".{0,300}", password in proptest::collection::vec(any::<u8>(), 0..300)) {
            let bytes = bind(&name, &password);
            let (message, rest) = take(SEQUENCE, &bytes).unwrap();
            prop_assert!(rest.is_empty());
            let (_, message) = take(INTEGER, message).unwrap();
            let (request, _) = take(BIND_REQUEST, message).unwrap();
            let (version, request) = take(INTEGER, request).unwrap();
            let (read, request) = take(OCTETS, request).unwrap();
            let (secret, rest) = take(SIMPLE, request).unwrap();
            prop_assert_eq!((version, read, secret, rest), (&[3][..], name.as_bytes(), &*password, &[][..]));
        }
    }
}
