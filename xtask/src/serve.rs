//! `cargo xtask serve`: the built page on loopback, by a file server that does nothing else.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::{sh, web};

/// Builds (unless told not to) and serves until interrupted.
///
/// # Errors
/// If the build fails or no port can be had.
pub fn run(port: u16, no_build: bool) -> Result<()> {
    let dist = sh::root().join("dist");
    if !no_build {
        web::build(&dist)?;
    }
    let ports = port..=port.saturating_add(20);
    let listener = ports.clone().find_map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok());
    let listener = listener.with_context(|| format!("no free port from {} to {}", ports.start(), ports.end()))?;
    println!("\nfamlens is at  http://{}/\nstop with Ctrl+C", listener.local_addr()?);
    for stream in listener.incoming() {
        let dist = dist.clone();
        // One thread a connection: a handful of requests from one person's browser.
        thread::spawn(move || {
            // A browser that goes away in the middle of a file is no news.
            let _ = stream.map_err(anyhow::Error::from).and_then(|stream| answer(&stream, &dist));
        });
    }
    Ok(())
}

fn answer(mut stream: &TcpStream, dist: &Path) -> Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    // 16 kB hold any request a browser makes; what is longer is cut off and refused.
    let mut lines = BufReader::new(stream.take(16 << 10)).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    // The header is read to its end, because closing a connection with unread bytes resets it.
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let mut words = request.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let file = locate(dist, target).and_then(|path| Some((fs::read(&path).ok()?, mime(&path))));
    let (status, body, kind) = match (method, file) {
        ("GET" | "HEAD", Some((body, kind))) => ("200 OK", body, kind),
        ("GET" | "HEAD", None) => ("404 Not Found", b"not found\n".to_vec(), "text/plain"),
        _ => ("405 Method Not Allowed", b"only GET and HEAD\n".to_vec(), "text/plain"),
    };
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\ncache-control: no-cache\r\n\
         x-content-type-options: nosniff\r\nconnection: close\r\n\r\n"
    )?;
    if method != "HEAD" {
        stream.write_all(&body)?;
    }
    Ok(stream.flush()?)
}

/// The file that a request names; `None` if there is none or it is not under `dist`.
fn locate(dist: &Path, target: &str) -> Option<PathBuf> {
    let path = target.split(['?', '#']).next()?.strip_prefix('/')?;
    let path = dist.join(percent_decode(path)?);
    let path = if path.is_dir() { path.join("index.html") } else { path };
    // Resolving both ends catches `..`, absolute paths and links that lead out.
    let path = path.canonicalize().ok()?;
    path.starts_with(dist.canonicalize().ok()?).then_some(path)
}

fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut parts = text.split('%');
    bytes.extend(parts.next()?.bytes());
    for part in parts {
        bytes.push(u8::from_str_radix(part.get(..2)?, 16).ok()?);
        bytes.extend(part.get(2..)?.bytes());
    }
    String::from_utf8(bytes).ok()
}

/// The media type of a file. Browsers refuse modules and compiled wasm under a wrong one.
fn mime(path: &Path) -> &'static str {
    match path.extension().and_then(|ext| ext.to_str()).unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "wasm" => "application/wasm",
        "jpg" | "jpeg" => "image/jpeg",
        "png" => "image/png",
        "webp" => "image/webp",
        "gif" => "image/gif",
        "svg" => "image/svg+xml",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" | "md" | "ts" | "tsv" | "" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_under_dist_are_located() {
        let dist = sh::root().join("xtask");
        assert_eq!(locate(&dist, "/Cargo.toml?x=1"), dist.join("Cargo.toml").canonicalize().ok());
        assert_eq!(locate(&dist, "/src/%6Dain.rs"), dist.join("src/main.rs").canonicalize().ok());
        for outside in ["/../Cargo.toml", "/%2e%2e/Cargo.toml", "//etc/passwd", "/src", "Cargo.toml", "/%zz", "/%"] {
            assert_eq!(locate(&dist, outside), None, "{outside}");
        }
    }

    #[test]
    fn a_request_is_answered_with_its_media_type() -> Result<()> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let client = thread::spawn(move || -> Result<String> {
            let mut stream = TcpStream::connect(address)?;
            stream.write_all(b"GET /src/serve.rs HTTP/1.1\r\nhost: x\r\n\r\n")?;
            let mut text = String::new();
            stream.read_to_string(&mut text)?;
            Ok(text)
        });
        let (stream, _) = listener.accept()?;
        answer(&stream, &sh::root().join("xtask"))?;
        drop(stream);
        let text = client.join().expect("the client thread does not panic")?;
        assert!(text.starts_with("HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\n"), "{text}");
        assert!(text.ends_with(&fs::read_to_string(sh::root().join("xtask/src/serve.rs"))?));
        assert_eq!(mime(Path::new("a/famlens_bg.wasm")), "application/wasm");
        Ok(())
    }
}
