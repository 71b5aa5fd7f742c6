//! One log-in on a connection: a simple bind and its answer (RFC 4511 §4.2).
use std::io;
use std::time::Duration;

use bytes::BytesMut;
use ldap3_proto::LdapCodec;
use ldap3_proto::proto::{LdapBindCred, LdapBindRequest, LdapMsg, LdapOp, LdapResultCode};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_util::codec::{Decoder as _, Encoder as _};
use zeroize::Zeroize as _;

/// Longer answers are none: a code and a short text are expected. Twice as much is held at most.
const MAX_ANSWER: usize = 16 * 1024;
/// Values stand no deeper inside one another than this.
const DEEPEST: usize = 16;
/// The id of the one request on a connection.
const ID: i32 = 1;

/// Why an exchange brought no verdict.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unsettled {
    #[error("the exchange failed")]
    Io(#[from] io::Error),
    #[error("the connection was closed before the answer")]
    Closed,
    #[error("the answer is no LDAP")]
    Nonsense(#[source] io::Error),
    #[error("the answer is to something else")]
    Elsewhere,
    #[error("the directory answered with {0:?}")]
    Fault(LdapResultCode),
}

/// Whether a directory lets an entry in with that password. The connection is then left.
pub(super) async fn bind<S>(mut stream: S, name: &str, password: &str) -> Result<bool, Unsettled>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut codec = LdapCodec::new(Some(MAX_ANSWER), Some(DEEPEST));
    let mut bytes = BytesMut::with_capacity(512);
    codec.encode(request(name, password), &mut bytes)?;
    let sent = stream.write_all(&bytes).await;
    bytes.as_mut().zeroize();
    bytes.clear();
    sent?;
    stream.flush().await?;
    let answer = loop {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(Unsettled::Closed);
        }
        if let Some(answer) = codec.decode(&mut bytes).map_err(Unsettled::Nonsense)? {
            break answer;
        }
    };
    // the verdict is there: a goodbye is worth no waiting
    let _ = tokio::time::timeout(Duration::ZERO, goodbye(&mut codec, stream)).await;
    verdict(answer)
}

/// Leaves a connection (§4.3).
async fn goodbye<S: AsyncWrite + Unpin>(codec: &mut LdapCodec, mut stream: S) -> io::Result<()> {
    let mut bytes = BytesMut::new();
    codec.encode(LdapMsg { msgid: ID + 1, op: LdapOp::UnbindRequest, ctrl: Vec::new() }, &mut bytes)?;
    stream.write_all(&bytes).await?;
    stream.shutdown().await
}

/// A simple bind of version 3.
fn request(name: &str, password: &str) -> LdapMsg {
    let cred = LdapBindCred::Simple(password.to_owned());
    let op = LdapOp::BindRequest(LdapBindRequest { version: 3, dn: name.to_owned(), cred });
    LdapMsg { msgid: ID, op, ctrl: Vec::new() }
}

fn verdict(answer: LdapMsg) -> Result<bool, Unsettled> {
    let LdapMsg { msgid: ID, op: LdapOp::BindResponse(response), .. } = answer else {
        return Err(Unsettled::Elsewhere);
    };
    use LdapResultCode::{
        ConstraintViolation, InappropriateAuthentication, InsufficentAccessRights, InvalidCredentials, InvalidDNSyntax,
        NoSuchObject, Success, UnwillingToPerform,
    };
    match response.res.code {
        Success => Ok(true),
        // whatever it is, this user does not get in
        ConstraintViolation
        | NoSuchObject
        | InvalidDNSyntax
        | InappropriateAuthentication
        | InvalidCredentials
        | InsufficentAccessRights
        | UnwillingToPerform => Ok(false),
        code => Err(Unsettled::Fault(code)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::duplex;

    use super::*;

    /// What follows from an answer.
    async fn settled(answer: &[u8]) -> Result<bool, Unsettled> {
        let (near, mut far) = duplex(1 << 20);
        far.write_all(answer).await.unwrap();
        far.shutdown().await.unwrap();
        bind(near, "cn=acme,dc=x", "secret").await
    }

    /// A bind response with a code: `30 0c 02 01 01 61 07 0a 01 .. 04 00 04 00`.
    fn coded(code: u8) -> [u8; 14] {
        [0x30, 12, 2, 1, 1, 0x61, 7, 0x0a, 1, code, 4, 0, 4, 0]
    }

    #[tokio::test]
    async fn what_goes_out_is_a_simple_bind_and_a_goodbye() {
        let (near, mut far) = duplex(1 << 20);
        far.write_all(&coded(0)).await.unwrap();
        assert!(bind(near, "cn=a", "pw").await.unwrap());
        let mut seen = Vec::new();
        far.read_to_end(&mut seen).await.unwrap();
        let bind = [0x30, 0x10, 2, 1, 1, 0x60, 0x0b, 2, 1, 3, 4, 4, b'c', b'n', b'=', b'a', 0x80, 2, b'p', b'w'];
        assert_eq!(seen, [&[0x30, 0x12, 2, 1, 1, 0x60, 0x0d][..], &bind[7..], &[0x30, 5, 2, 1, 2, 0x42, 0]].concat());
    }

    #[tokio::test]
    async fn codes_are_a_yes_a_no_or_a_fault() {
        assert!(settled(&coded(0)).await.unwrap());
        for code in [19, 32, 34, 48, 49, 50, 53] {
            assert!(!settled(&coded(code)).await.unwrap(), "{code}");
        }
        for code in [1, 2, 7, 8, 10, 13, 14, 51, 52, 80] {
            assert!(matches!(settled(&coded(code)).await, Err(Unsettled::Fault(_))), "{code}");
        }
        for code in [9, 200] {
            assert!(settled(&coded(code)).await.is_err(), "{code}");
        }
    }

    #[tokio::test]
    async fn lies_are_bounded_and_settle_nothing() {
        let mut deep = Vec::new();
        for inside in (0..2000_u32).rev() {
            deep.extend([0x30, 0x84]);
            deep.extend((inside * 6).to_be_bytes());
        }
        let mut long = vec![0x30, 0x84, 0x7f, 0xff, 0xff, 0xff];
        long.resize(1 << 19, 0);
        let mut other_id = coded(0);
        other_id[4] = 2;
        let notice = [0x30, 0x0c, 2, 1, 0, 0x78, 7, 0x0a, 1, 52, 4, 0, 4, 0];
        for lie in [
            &[][..],
            &coded(0)[..13],
            &[0x30, 0],
            &[0x30, 4, 4, 0, 0x61, 0],
            &[0x30, 0x80, 0, 0],
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            &deep,
            &long,
            &other_id,
            &notice,
        ] {
            assert!(settled(lie).await.is_err(), "{:?}", &lie[..lie.len().min(20)]);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_stumble(bytes in any::<Vec<u8>>(), at in any::<prop::sample::Index>(), to in any::<u8>()) {
            let mut changed = coded(0);
            changed[at.index(14)] = to;
            tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
                let _ = settled(&bytes).await;
                let _ = settled(&changed).await;
            });
        }
    }
}
