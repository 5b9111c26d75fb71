//! The adapter and device behind the engine, and what became of them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Error, Result};

/// How to choose the GPU.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct GpuOptions {
    /// Prefer an adapter that runs on the CPU (lavapipe, SwiftShader, WARP); for tests. Natively it is demanded; in
    /// a browser the browser decides.
    pub software: bool,
    /// Use the kernels meant for graphics hardware even if the adapter runs on the CPU; so tests reach both kinds.
    pub hardware_kernels: bool,
    /// Measure each kernel, where the device can, for [`super::GpuEngine::profile`]. Every kernel then runs in its own
    /// pass, which makes the whole slower.
    pub profile: bool,
}

/// An open device. Dropping it frees what it holds.
#[derive(Debug)]
pub(super) struct Device {
    pub device: wgpu::Device,
    pub queue: wgpu::Queue,
    pub health: Health,
    /// Its number among all devices of this process: wgpu's own identities repeat from one instance to the next.
    pub serial: u64,
    pub limits: wgpu::Limits,
    /// Whether the adapter runs on the CPU.
    pub software: bool,
    /// Whether to take the kernels for such an adapter.
    pub software_kernels: bool,
    /// Whether timestamps are written around each kernel.
    pub profile: bool,
    name: String,
}

impl Device {
    /// Finds an adapter and opens it.
    ///
    /// # Errors
    /// [`Error::NoGpu`] if there is none or it cannot be opened.
    pub async fn open(options: GpuOptions) -> Result<Self> {
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
            backends: wgpu::Backends::VULKAN
                | wgpu::Backends::METAL
                | wgpu::Backends::DX12
                | wgpu::Backends::BROWSER_WEBGPU,
            ..wgpu::InstanceDescriptor::new_without_display_handle()
        });
        let adapter = instance
            .request_adapter(&wgpu::RequestAdapterOptions {
                power_preference: wgpu::PowerPreference::HighPerformance,
                force_fallback_adapter: options.software,
                ..Default::default()
            })
            .await
            .map_err(|_| Error::NoGpu { reason: no_adapter() })?;

        let profile = options.profile && adapter.features().contains(wgpu::Features::TIMESTAMP_QUERY);
        let offered = adapter.limits();
        // WebGPU's defaults are enough for most models; only what larger ones run into is raised to what there is.
        let limits = wgpu::Limits {
            max_buffer_size: offered.max_buffer_size,
            max_storage_buffer_binding_size: offered.max_storage_buffer_binding_size,
            ..wgpu::Limits::defaults().or_worse_values_from(&offered)
        };
        let (device, queue) = adapter
            .request_device(&wgpu::DeviceDescriptor {
                label: Some("famlens"),
                required_features: if profile { wgpu::Features::TIMESTAMP_QUERY } else { wgpu::Features::empty() },
                required_limits: limits.clone(),
                ..Default::default()
            })
            .await
            .map_err(|e| Error::NoGpu { reason: e.to_string() })?;

        let health = Health::default();
        let lost = health.clone();
        device.set_device_lost_callback(move |reason, message| {
            lost.report_lost(match message.is_empty() {
                true => format!("{reason:?}"),
                false => message,
            });
        });
        report_errors(&device, health.clone());

        let info = adapter.get_info();
        let (name, software) = identity(&info, &device);
        static OPENED: AtomicU64 = AtomicU64::new(0);
        let serial = OPENED.fetch_add(1, Ordering::Relaxed);
        let software_kernels = software && !options.hardware_kernels;
        Ok(Self { device, queue, health, serial, limits, software, software_kernels, profile, name })
    }

    /// What became of the device so far. Before an error is reported as one, news of a loss, which causes errors of all
    /// kinds, gets the chance to arrive.
    ///
    /// # Errors
    /// [`Error::GpuLost`] from the moment the device was lost; [`Error::Engine`] once for every reported error.
    pub fn check(&self) -> Result<()> {
        if self.health.has_error() {
            // In a browser nothing has to be waited for: a lost device reports no errors there.
            let _ = self.device.poll(wgpu::PollType::Poll);
        }
        self.health.check()
    }

    /// Sends what was written so far and waits until it is there, so that its copy in host memory is freed. In a
    /// browser that is done as soon as it is written.
    pub fn flush(&self) {
        #[cfg(not(target_arch = "wasm32"))]
        {
            self.queue.submit([]);
            // A device that is lost shows at the next check of its health.
            let _ = self.device.poll(wgpu::PollType::wait_indefinitely());
        }
    }

    /// For people: `"WebGPU (NVIDIA H100)"`, `"Vulkan (llvmpipe)"`.
    pub fn describe(&self) -> &str {
        &self.name
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // In a browser, dropping the handles frees nothing until the garbage collector runs.
        self.device.destroy();
    }
}

/// Why there is no adapter, in words that say what to do.
#[cfg(not(target_arch = "wasm32"))]
fn no_adapter() -> String {
    let what = "no Vulkan, Metal or Direct3D 12 device was found";
    format!("{what}; install the graphics driver (on Linux, mesa-vulkan-drivers also brings one that runs on the CPU)")
}

/// Why there is no adapter, in words that say what to do.
#[cfg(target_arch = "wasm32")]
fn no_adapter() -> String {
    let navigator = js_sys::Reflect::get(&js_sys::global(), &"navigator".into());
    let gpu = navigator.and_then(|n| js_sys::Reflect::get(&n, &"gpu".into()));
    match gpu.is_ok_and(|gpu| gpu.is_truthy()) {
        true => {
            "the browser has WebGPU but offers no graphics adapter; hardware acceleration may be switched off".into()
        }
        false => "this browser does not offer WebGPU, or only to pages served over HTTPS or from localhost".into(),
    }
}

/// Lets the device's errors become reports instead of panics.
#[cfg(not(target_arch = "wasm32"))]
fn report_errors(device: &wgpu::Device, health: Health) {
    device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| health.report_error(error.to_string())));
}

/// Lets the device's errors become reports instead of panics. Not through wgpu, whose handler panics at a
/// GPUInternalError.
#[cfg(target_arch = "wasm32")]
fn report_errors(device: &wgpu::Device, health: Health) {
    use wasm_bindgen::{JsValue, closure::Closure};
    let Some(device) = device.as_webgpu() else { return };
    let get = |object: &JsValue, key: &str| js_sys::Reflect::get(object, &key.into()).unwrap_or(JsValue::UNDEFINED);
    let handler = Closure::<dyn FnMut(JsValue)>::new(move |event: JsValue| {
        let message = get(&get(&event, "error"), "message").as_string();
        health.report_error(message.unwrap_or_else(|| "the browser gave no reason".into()));
    });
    // If the property cannot be set the browser has no such event, and there is nothing to report.
    let _ = js_sys::Reflect::set(device.as_ref(), &"onuncapturederror".into(), &handler.into_js_value());
}

/// Name of the adapter for people, and whether it runs on the CPU.
fn identity(info: &wgpu::AdapterInfo, device: &wgpu::Device) -> (String, bool) {
    let backend = match info.backend {
        wgpu::Backend::BrowserWebGpu => "WebGPU",
        wgpu::Backend::Vulkan => "Vulkan",
        wgpu::Backend::Metal => "Metal",
        wgpu::Backend::Dx12 => "Direct3D 12",
        _ => "GPU",
    };
    let mut names = vec![info.name.clone()];
    names.extend(browser_names(device));
    names.retain(|n| !n.trim().is_empty());
    let name = names.join(", ");
    let lower = name.to_lowercase();
    let known = ["swiftshader", "llvmpipe", "lavapipe", "softpipe", "microsoft basic render", "warp"];
    let software = info.device_type == wgpu::DeviceType::Cpu || known.iter().any(|k| lower.contains(k));
    (if name.is_empty() { backend.to_owned() } else { format!("{backend} ({name})") }, software)
}

/// A browser hides the adapter's name but may tell its vendor and architecture.
#[cfg(target_arch = "wasm32")]
fn browser_names(device: &wgpu::Device) -> Vec<String> {
    let text = |object: &wasm_bindgen::JsValue, key: &str| {
        js_sys::Reflect::get(object, &key.into()).ok().and_then(|v| v.as_string()).unwrap_or_default()
    };
    let info = device.as_webgpu().and_then(|d| js_sys::Reflect::get(d.as_ref(), &"adapterInfo".into()).ok());
    info.map_or_else(Vec::new, |info| vec![text(&info, "vendor"), text(&info, "architecture")])
}

#[cfg(not(target_arch = "wasm32"))]
fn browser_names(_: &wgpu::Device) -> Vec<String> {
    Vec::new()
}

/// What the device's callbacks reported: read after every step, so that a failure becomes an error and not a panic.
#[derive(Clone, Debug, Default)]
pub(super) struct Health(Arc<Mutex<Reports>>);

#[derive(Debug, Default)]
struct Reports {
    lost: Option<String>,
    error: Option<String>,
}

impl Health {
    fn with<T>(&self, f: impl FnOnce(&mut Reports) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn report_lost(&self, reason: String) {
        self.with(|r| r.lost.get_or_insert(reason).shrink_to_fit());
    }

    pub fn report_error(&self, reason: String) {
        self.with(|r| r.error.get_or_insert(reason).shrink_to_fit());
    }

    fn has_error(&self) -> bool {
        self.with(|r| r.error.is_some())
    }

    fn check(&self) -> Result<()> {
        self.with(|r| match (&r.lost, r.error.take()) {
            (Some(reason), _) => Err(Error::GpuLost { reason: reason.clone() }),
            (None, Some(reason)) => Err(failed(reason)),
            (None, None) => Ok(()),
        })
    }
}

/// A limit of the device on what one shader may read, in words that say what to do.
pub(super) fn binding_limit(bytes: usize) -> String {
    format!("{bytes} bytes (what this GPU lets a shader bind at once); take a smaller input size or the CPU engine")
}

/// An [`Error::Engine`] of this engine.
pub(super) fn failed(reason: impl Into<String>) -> Error {
    Error::Engine { engine: "GPU", reason: reason.into() }
}
