//! `cargo xtask serve`: the built page on loopback, by a file server that does nothing else.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

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
    let mut known = None;
    for line in lines {
        let line = line?;
        if line.is_empty() {
            break;
        }
        let field = line.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case("if-none-match"));
        known = field.map(|(_, value)| value.trim().to_owned()).or(known);
    }
    let mut words = request.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let file = locate(dist, target).and_then(|path| Some((tag(&path)?, path)));
    let (status, body, kind, tag) = match (method, file) {
        ("GET" | "HEAD", Some((tag, path))) if known.as_ref() == Some(&tag) => {
            ("304 Not Modified", Vec::new(), mime(&path), tag)
        }
        ("GET" | "HEAD", Some((tag, path))) => ("200 OK", fs::read(&path)?, mime(&path), tag),
        ("GET" | "HEAD", None) => ("404 Not Found", b"not found\n".to_vec(), "text/plain", "\"\"".into()),
        _ => ("405 Method Not Allowed", b"only GET and HEAD\n".to_vec(), "text/plain", "\"\"".into()),
    };
    let length = body.len();
    // "no-cache" lets the browser keep a file and makes it ask whether it is still the same: a rebuilt page is seen at
    // once, and an unchanged model is not sent twice.
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\ncache-control: no-cache\r\n\
         etag: {tag}\r\nx-content-type-options: nosniff\r\n{}connection: close\r\n\r\n",
        policy(dist)
    )?;
    if method != "HEAD" {
        stream.write_all(&body)?;
    }
    Ok(stream.flush()?)
}

/// The page's own policy as a header for every file, with what only a header can say: nobody may frame the page. The
/// header binds a worker that is loaded from its file, too. Empty for a folder without a page.
fn policy(dist: &Path) -> String {
    let page = fs::read_to_string(dist.join("index.html")).unwrap_or_default();
    let content = page.split_once("http-equiv=\"Content-Security-Policy\" content=\"");
    content.and_then(|(_, rest)| rest.split_once('"')).map_or_else(String::new, |(policy, _)| {
        format!("content-security-policy: {policy}; frame-ancestors 'none'\r\nreferrer-policy: no-referrer\r\n")
    })
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

/// What tells one version of a file from the next: its size and when it was written.
fn tag(path: &Path) -> Option<String> {
    let meta = fs::metadata(path).ok()?;
    let written = meta.modified().ok()?.duration_since(UNIX_EPOCH).ok()?.as_nanos();
    Some(format!("\"{:x}-{written:x}\"", meta.len()))
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
    fn a_file_is_sent_with_its_media_type_and_only_once() -> Result<()> {
        let text = request("")?;
        assert!(text.starts_with("HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\n"), "{text}");
        assert!(text.ends_with(&fs::read_to_string(sh::root().join("xtask/src/serve.rs"))?));
        assert_eq!(mime(Path::new("a/famlens_bg.wasm")), "application/wasm");
        let tag = text.lines().find_map(|line| line.strip_prefix("etag: ")).expect("there is a tag");
        let again = request(&format!("If-None-Match: {tag}\r\n"))?;
        assert!(again.starts_with("HTTP/1.1 304 Not Modified\r\n") && again.ends_with("\r\n\r\n"), "{again}");
        assert!(request("If-None-Match: \"other\"\r\n")?.starts_with("HTTP/1.1 200 OK\r\n"));
        Ok(())
    }

    #[test]
    fn the_policy_of_the_page_goes_out_as_a_header() {
        let header = policy(&sh::root());
        assert!(header.starts_with("content-security-policy: default-src 'none'; script-src 'self'"), "{header}");
        assert!(
            header.contains("; worker-src 'self' blob:;") && header.contains("; frame-ancestors 'none'\r\n"),
            "{header}"
        );
        assert_eq!(header.matches("\r\n").count(), 2, "two whole lines: {header}");
        assert_eq!(policy(&sh::root().join("xtask")), "");
    }

    /// The answer to a request for this file.
    fn request(header: &str) -> Result<String> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let mut client = TcpStream::connect(listener.local_addr()?)?;
        client.write_all(format!("GET /src/serve.rs HTTP/1.1\r\nhost: x\r\n{header}\r\n").as_bytes())?;
        let (stream, _) = listener.accept()?;
        // The answer fits into the buffers of a loopback connection.
        answer(&stream, &sh::root().join("xtask"))?;
        drop(stream);
        let mut text = String::new();
        client.read_to_string(&mut text)?;
        Ok(text)
    }
}
