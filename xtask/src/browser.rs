//! A Chromium for the browser tests and a Vulkan driver for the native GPU tests.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::{sh, tools};

/// The Chromium to drive: `$CHROME`, the usual places, or Debian's package where it can be installed.
///
/// # Errors
/// If there is none; the message says what to install.
pub fn ensure_chromium() -> Result<PathBuf> {
    if let Some(path) = find() {
        return Ok(path);
    }
    if sh::can_apt() {
        println!("no Chromium found");
        sh::apt_install(&["chromium"])?;
    }
    find().context("no Chromium found: install Chromium or Chrome, or set the variable CHROME to the path of one")
}

fn find() -> Option<PathBuf> {
    if let Some(path) = env::var_os("CHROME").map(PathBuf::from) {
        return path.is_file().then_some(path);
    }
    let names = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome"];
    if let Some(path) = names.iter().find_map(|name| sh::which(name)) {
        return Some(path);
    }
    let mut places = vec![
        PathBuf::from("/Applications/Chromium.app/Contents/MacOS/Chromium"),
        PathBuf::from("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"),
        PathBuf::from("/snap/bin/chromium"),
    ];
    for variable in ["PROGRAMFILES", "PROGRAMFILES(X86)", "LOCALAPPDATA"] {
        if let Some(base) = env::var_os(variable) {
            places.push(Path::new(&base).join("Google/Chrome/Application/chrome.exe"));
        }
    }
    places.into_iter().find(|path| path.is_file())
}

/// Firefox and its driver, as variables for the tests.
///
/// # Errors
/// If one of them is missing and cannot be installed.
pub fn ensure_firefox() -> Result<[(&'static str, PathBuf); 2]> {
    let find = || ["firefox-esr", "firefox"].iter().find_map(|name| sh::which(name));
    if find().is_none() && sh::can_apt() {
        sh::apt_install(&["firefox-esr"])?;
    }
    let firefox = find().context("no Firefox found: install it")?;
    Ok([("FIREFOX", firefox), ("GECKODRIVER", tools::geckodriver()?)])
}

/// Makes sure that the native GPU tests find an adapter: on Linux without any Vulkan driver, Debian's Mesa brings one
/// that runs on the CPU. Elsewhere the system's own driver is used.
///
/// Returns what to say when there may be none.
pub fn ensure_vulkan() -> Option<String> {
    let ready = || has_vulkan_loader() && has_vulkan_driver();
    if !cfg!(target_os = "linux") || ready() {
        return None;
    }
    if sh::can_apt() && sh::apt_install(&["mesa-vulkan-drivers", "libvulkan1"]).is_ok() && ready() {
        return None;
    }
    Some("no Vulkan driver found: install one (Debian: mesa-vulkan-drivers and libvulkan1)".to_owned())
}

/// Whether the Vulkan loader is a known library. Where there is no ldconfig to ask, it is taken to be.
fn has_vulkan_loader() -> bool {
    let known = ["ldconfig", "/sbin/ldconfig"].iter().find_map(|name| sh::ask(sh::command(name).arg("-p")));
    known.is_none_or(|list| list.contains("libvulkan.so.1"))
}

/// Whether the Vulkan loader will find a driver: the folders it looks in hold a manifest.
fn has_vulkan_driver() -> bool {
    if ["VK_ICD_FILENAMES", "VK_DRIVER_FILES"].iter().any(|name| env::var_os(name).is_some()) {
        return true;
    }
    ["/usr/share", "/usr/local/share", "/etc"].iter().any(|base| {
        let dir = Path::new(base).join("vulkan/icd.d");
        dir.read_dir().is_ok_and(|mut files| files.next().is_some())
    })
}
