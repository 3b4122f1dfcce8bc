//! A swtpm over TCP, by raw TPM commands: power cycle, startup, extend, read.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use crate::bank::Bank;
use crate::pcrs::{Digests, PCR_COUNT, Pcrs};
use crate::softtpm::attest::bitmap;

/// A swtpm that starts, or that is between two clients, takes the next within milliseconds.
const BUSY_LIMIT: Duration = Duration::from_secs(2);
/// Longer than any command takes; more means that another client sits on the TPM.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// No TPM 2.0 answers with more (TPM2_MAX_RESPONSE_SIZE of libtpms).
const RESPONSE_MAX: usize = 4096;

const ST_NO_SESSIONS: u16 = 0x8001;
const ST_SESSIONS: u16 = 0x8002;
const CC_STARTUP: u32 = 0x0000_0144;
const CC_SHUTDOWN: u32 = 0x0000_0145;
const CC_GET_CAPABILITY: u32 = 0x0000_017A;
const CC_PCR_READ: u32 = 0x0000_017E;
const CC_PCR_EXTEND: u32 = 0x0000_0182;
const CAP_PCRS: u32 = 0x0000_0005;
const RS_PW: u32 = 0x4000_0009;
const RC_INITIALIZE: u32 = 0x0000_0100;

/// Commands of swtpm's control channel (swtpm, tpm_ioctl.h).
const CMD_INIT: u32 = 2;
const CMD_SET_LOCALITY: u32 = 5;

/// A running swtpm.
#[derive(Debug, Clone)]
pub struct Swtpm {
    data: SocketAddr,
    control: SocketAddr,
}

/// Trouble with a swtpm.
#[derive(Debug, thiserror::Error)]
pub enum SwtpmError {
    /// An address that means nothing.
    #[error("{address:?} is no address of a swtpm; write HOST:PORT")]
    Address {
        /// As given.
        address: String,
    },
    /// No exchange with the socket.
    #[error("{operation} at swtpm {address} failed; is it running, and does no other client hold it?")]
    Socket {
        /// What was asked.
        operation: &'static str,
        /// The socket.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The TPM refused.
    #[error("{operation} at swtpm {address} was refused with {code:#x}")]
    Refused {
        /// What was asked.
        operation: &'static str,
        /// The socket.
        address: SocketAddr,
        /// TPM_RC or the result of the control channel.
        code: u32,
    },
    /// An answer that does not follow the specification.
    #[error("{operation} at swtpm {address} brought an answer that cannot be read")]
    Garbled {
        /// What was asked.
        operation: &'static str,
        /// The socket.
        address: SocketAddr,
    },
}

impl Swtpm {
    /// The swtpm whose data socket is at `data` and whose control socket is at `control`, each `HOST:PORT`.
    pub fn new(data: &str, control: &str) -> Result<Swtpm, SwtpmError> {
        Ok(Swtpm {
            data: resolve(data)?,
            control: resolve(control)?,
        })
    }

    /// The swtpm at `data`, with its control socket one port above, as libtss2 has it.
    pub fn at(data: &str) -> Result<Swtpm, SwtpmError> {
        let data = resolve(data)?;
        let control = SocketAddr::new(data.ip(), data.port().saturating_add(1));
        Ok(Swtpm { data, control })
    }

    /// Off and on again, then TPM2_Startup(CLEAR) from `locality`: PCRs are zero and the reset counter has moved.
    pub fn power_cycle(&self, locality: u8) -> Result<(), SwtpmError> {
        let shutdown = command(ST_NO_SESSIONS, CC_SHUTDOWN, &[0, 0]);
        match self.execute("TPM2_Shutdown", &shutdown) {
            Ok(_)
            | Err(SwtpmError::Refused {
                code: RC_INITIALIZE, ..
            }) => {}
            Err(error) => return Err(error),
        }
        self.control("CMD_INIT", CMD_INIT, &0_u32.to_be_bytes())?;
        if locality != 0 {
            self.control("CMD_SET_LOCALITY", CMD_SET_LOCALITY, &[locality])?;
        }
        self.execute("TPM2_Startup", &command(ST_NO_SESSIONS, CC_STARTUP, &[0, 0]))?;
        if locality != 0 {
            self.control("CMD_SET_LOCALITY", CMD_SET_LOCALITY, &[0])?;
        }
        Ok(())
    }

    /// The banks that are active.
    pub fn banks(&self) -> Result<Vec<Bank>, SwtpmError> {
        const OPERATION: &str = "TPM2_GetCapability";
        let ask = [CAP_PCRS, 0, 1].map(u32::to_be_bytes).concat();
        let answer = self.execute(OPERATION, &command(ST_NO_SESSIONS, CC_GET_CAPABILITY, &ask))?;
        let mut answer = Answer {
            rest: &answer,
            operation: OPERATION,
            address: self.data,
        };
        answer.take(1)?; // moreData
        answer.u32()?; // capability
        let mut banks = Vec::new();
        for _ in 0..answer.u32()? {
            let id = answer.u16()?;
            let len = answer.u8()?;
            let used = answer.take(len.into())?.iter().any(|&bits| bits != 0);
            banks.extend(Bank::from_id(id).filter(|_| used));
        }
        Ok(banks)
    }

    /// TPM2_PCR_Extend in each bank of `digests`.
    pub fn extend(&self, index: u8, digests: &Digests) -> Result<(), SwtpmError> {
        let mut body = u32::from(index).to_be_bytes().to_vec();
        body.extend(9_u32.to_be_bytes()); // the authorisation area: password session, empty
        body.extend(RS_PW.to_be_bytes());
        body.extend([0, 0, 0, 0, 0]);
        body.extend(
            u32::try_from(digests.len())
                .expect("a handful of banks")
                .to_be_bytes(),
        );
        for (bank, digest) in digests {
            body.extend(bank.id().to_be_bytes());
            body.extend_from_slice(digest);
        }
        self.execute("TPM2_PCR_Extend", &command(ST_SESSIONS, CC_PCR_EXTEND, &body))
            .map(|_| ())
    }

    /// TPM2_PCR_Read of one PCR.
    pub fn read(&self, bank: Bank, index: u8) -> Result<Vec<u8>, SwtpmError> {
        const OPERATION: &str = "TPM2_PCR_Read";
        let mut body = 1_u32.to_be_bytes().to_vec();
        body.extend(bank.id().to_be_bytes());
        body.push(3);
        body.extend(bitmap(&[index]));
        let answer = self.execute(OPERATION, &command(ST_NO_SESSIONS, CC_PCR_READ, &body))?;
        let mut answer = Answer {
            rest: &answer,
            operation: OPERATION,
            address: self.data,
        };
        answer.u32()?; // update counter
        for _ in 0..answer.u32()? {
            answer.u16()?;
            let len = answer.u8()?;
            answer.take(len.into())?;
        }
        if answer.u32()? != 1 {
            return Err(answer.garbled());
        }
        let len = answer.u16()?;
        Ok(answer.take(len.into())?.to_vec())
    }

    /// Every PCR of `banks`.
    pub fn pcrs(&self, banks: &[Bank]) -> Result<Pcrs, SwtpmError> {
        let mut pcrs = Pcrs::at_startup(banks, 0);
        for &bank in banks {
            for index in 0..PCR_COUNT {
                pcrs.force(bank, index, self.read(bank, index)?);
            }
        }
        Ok(pcrs)
    }

    /// Sends one command; the parameters of the answer, without its header.
    fn execute(&self, operation: &'static str, command: &[u8]) -> Result<Vec<u8>, SwtpmError> {
        let address = self.data;
        let answer = exchange(address, command).map_err(|source| SwtpmError::Socket {
            operation,
            address,
            source,
        })?;
        let mut answer = Answer {
            rest: &answer,
            operation,
            address,
        };
        answer.u16()?;
        answer.u32()?;
        match answer.u32()? {
            0 => Ok(answer.rest.to_vec()),
            code => Err(SwtpmError::Refused {
                operation,
                address,
                code,
            }),
        }
    }

    fn control(&self, operation: &'static str, code: u32, body: &[u8]) -> Result<(), SwtpmError> {
        let address = self.control;
        let trouble = |source| SwtpmError::Socket {
            operation,
            address,
            source,
        };
        let mut stream = connect(address).map_err(trouble)?;
        stream
            .write_all(&[&code.to_be_bytes(), body].concat())
            .map_err(trouble)?;
        let mut result = [0; 4];
        stream.read_exact(&mut result).map_err(trouble)?;
        match u32::from_be_bytes(result) {
            0 => Ok(()),
            code => Err(SwtpmError::Refused {
                operation,
                address,
                code,
            }),
        }
    }
}

fn resolve(address: &str) -> Result<SocketAddr, SwtpmError> {
    let unknown = || SwtpmError::Address {
        address: address.to_owned(),
    };
    address
        .to_socket_addrs()
        .map_err(|_| unknown())?
        .next()
        .ok_or_else(unknown)
}

fn command(tag: u16, code: u32, body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(body.len() + 10).expect("a short command");
    [
        &tag.to_be_bytes(),
        size.to_be_bytes().as_slice(),
        &code.to_be_bytes(),
        body,
    ]
    .concat()
}

/// One connection for each command: a client that stays connected blocks every other.
fn exchange(address: SocketAddr, command: &[u8]) -> io::Result<Vec<u8>> {
    let started = Instant::now();
    loop {
        match exchange_once(address, command) {
            Err(error) if is_busy(&error) && started.elapsed() < BUSY_LIMIT => {
                std::thread::sleep(Duration::from_millis(2));
            }
            answer => return answer,
        }
    }
}

fn exchange_once(address: SocketAddr, command: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = connect(address)?;
    stream.write_all(command)?;
    let mut header = [0; 10];
    stream.read_exact(&mut header)?;
    let [_, _, a, b, c, d, ..] = header;
    let size = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
    if !(10..=RESPONSE_MAX).contains(&size) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the answer's size is impossible",
        ));
    }
    let mut answer = header.to_vec();
    answer.resize(size, 0);
    if let Some(rest) = answer.get_mut(10..) {
        stream.read_exact(rest)?;
    }
    Ok(answer)
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, ANSWER_LIMIT)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(ANSWER_LIMIT))?;
    stream.set_write_timeout(Some(ANSWER_LIMIT))?;
    Ok(stream)
}

/// swtpm turned this connection away before it read the command.
fn is_busy(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionRefused)
}

struct Answer<'a> {
    rest: &'a [u8],
    operation: &'static str,
    address: SocketAddr,
}

impl<'a> Answer<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], SwtpmError> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or_else(|| self.garbled())?;
        self.rest = rest;
        Ok(taken)
    }

    fn number(&mut self, len: usize) -> Result<u32, SwtpmError> {
        Ok(self
            .take(len)?
            .iter()
            .fold(0, |value, &byte| value << 8 | u32::from(byte)))
    }

    fn u32(&mut self) -> Result<u32, SwtpmError> {
        self.number(4)
    }

    fn u16(&mut self) -> Result<u16, SwtpmError> {
        Ok(u16::try_from(self.number(2)?).unwrap_or(u16::MAX))
    }

    fn u8(&mut self) -> Result<u8, SwtpmError> {
        Ok(u8::try_from(self.number(1)?).unwrap_or(u8::MAX))
    }

    fn garbled(&self) -> SwtpmError {
        SwtpmError::Garbled {
            operation: self.operation,
            address: self.address,
        }
    }
}
