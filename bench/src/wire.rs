//! Requests as bytes and answers as they come, over one connection that is kept: as little work as can be beside the
//! program that is measured. HTTP/1.1 with `Content-Length` or chunks.

use anyhow::{Context, Result, bail, ensure};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// What is asked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ask {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) host: String,
    /// `Name: value` lines.
    pub(crate) headers: Vec<String>,
    pub(crate) body: String,
}

impl Ask {
    pub(crate) fn get(host: &str, path: impl Into<String>) -> Self {
        Self { method: "GET", path: path.into(), host: host.to_owned(), ..Self::default() }
    }

    pub(crate) fn send(method: &'static str, host: &str, path: impl Into<String>, body: &serde_json::Value) -> Self {
        let headers = vec!["Content-Type: application/json".to_owned()];
        Self { method, path: path.into(), host: host.to_owned(), headers, body: body.to_string() }
    }

    pub(crate) fn form(host: &str, path: &str, fields: &[(&str, &str)]) -> Self {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let headers = vec!["Content-Type: application/x-www-form-urlencoded".to_owned()];
        Self { method: "POST", path: path.to_owned(), host: host.to_owned(), headers, body }
    }

    pub(crate) fn with(mut self, header: impl Into<String>) -> Self {
        self.headers.push(header.into());
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut text = format!("{} {} HTTP/1.1\r\nHost: {}\r\n", self.method, self.path, self.host);
        for header in &self.headers {
            text.extend([format!("{header}\r\n")]);
        }
        text.extend([format!("Content-Length: {}\r\n\r\n{}", self.body.len(), self.body)]);
        text.into_bytes()
    }
}

/// An answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    }

    pub(crate) fn json(&self) -> Result<serde_json::Value> {
        let text = String::from_utf8_lossy(&self.body);
        ensure!(self.status < 300, "the answer was {}: {text}", self.status);
        serde_json::from_str(&text).with_context(|| format!("not JSON: {text}"))
    }

    /// The first cookie that it sets.
    pub(crate) fn cookie(&self) -> Result<String> {
        let set = self.header("set-cookie").and_then(|set| set.split(';').next());
        let text = || String::from_utf8_lossy(&self.body);
        set.map(str::to_owned).with_context(|| format!("no cookie was set: {} {}", self.status, text()))
    }
}

/// A connection to a port of this machine.
pub(crate) struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Wire {
    pub(crate) async fn open(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(16_384) })
    }

    pub(crate) async fn ask(&mut self, request: &[u8]) -> Result<Reply> {
        self.stream.write_all(request).await?;
        let end = loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                break at + 4;
            }
            self.more().await?;
        };
        let head = String::from_utf8(self.buffer.drain(..end).collect())?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).context("no status")?;
        let mut reply = Reply { status, head, body: Vec::new() };
        if reply.header("transfer-encoding").is_some() {
            self.chunks(&mut reply.body).await?;
        } else {
            let length = reply.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
            reply.body = self.take(length).await?;
        }
        Ok(reply)
    }

    async fn chunks(&mut self, body: &mut Vec<u8>) -> Result<()> {
        loop {
            let end = loop {
                if let Some(at) = find(&self.buffer, b"\r\n") {
                    break at;
                }
                self.more().await?;
            };
            let line: Vec<u8> = self.buffer.drain(..end + 2).take(end).collect();
            let size = usize::from_str_radix(std::str::from_utf8(&line)?.trim(), 16)?;
            body.extend(self.take(size).await?);
            self.take(2).await?;
            if size == 0 {
                return Ok(());
            }
        }
    }

    async fn take(&mut self, length: usize) -> Result<Vec<u8>> {
        while self.buffer.len() < length {
            self.more().await?;
        }
        Ok(self.buffer.drain(..length).collect())
    }

    async fn more(&mut self) -> Result<()> {
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            bail!("the connection was closed");
        }
        Ok(())
    }
}

fn find(bytes: &[u8], mark: &[u8]) -> Option<usize> {
    bytes.windows(mark.len()).position(|window| window == mark)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn answers_are_read_by_length_and_by_chunks() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let serving = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut seen = [0; 1024];
            for answer in [
                "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nSet-Cookie: a=b; Path=/\r\n\r\n{}",
                "HTTP/1.1 404 Not Found\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n",
            ] {
                assert!(stream.read(&mut seen).await.unwrap() > 0);
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        };
        let asking = async {
            let mut wire = Wire::open(port).await.unwrap();
            let first = wire.ask(&Ask::get("a", "/").bytes()).await.unwrap();
            assert_eq!((first.status, first.cookie().unwrap().as_str()), (200, "a=b"));
            let second = wire.ask(&Ask::get("a", "/").bytes()).await.unwrap();
            assert_eq!((second.status, second.body.as_slice()), (404, b"abcd".as_slice()));
        };
        tokio::join!(serving, asking);
    }
}
