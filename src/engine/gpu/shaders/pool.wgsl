// Window pooling: one invocation per pixel and group of four channels.
struct Params {
  x: u32, y: u32, groups: u32, total: u32,
  row: u32, in_h: i32, in_w: i32, out_w: u32,
  kernel_h: i32, kernel_w: i32, stride_h: i32, stride_w: i32,
  dilation_h: i32, dilation_w: i32, pad_top: i32, pad_left: i32,
  channels: u32,
}

override MAX: bool = false;
override COUNT_PAD: bool = false;
override WG: u32 = 64u;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let t = id.x + id.y * p.row;
  if (t >= p.total) { return; }
  let c = t % p.groups;
  let pixel = t / p.groups;
  let top = i32(pixel / p.out_w) * p.stride_h - p.pad_top;
  let left = i32(pixel % p.out_w) * p.stride_w - p.pad_left;
  var v = vec4<f32>(select(0.0, -3.4e38, MAX));
  var count = 0;
  for (var ky = 0; ky < p.kernel_h; ky++) {
    let iy = top + ky * p.dilation_h;
    if (iy < 0 || iy >= p.in_h) { continue; }
    for (var kx = 0; kx < p.kernel_w; kx++) {
      let ix = left + kx * p.dilation_w;
      if (ix < 0 || ix >= p.in_w) { continue; }
      let x = arena[p.x + u32(iy * p.in_w + ix) * p.groups + c];
      if (MAX) { v = max(v, x); } else { v += x; }
      count++;
    }
  }
  if (!MAX) {
    if (COUNT_PAD) { count = p.kernel_h * p.kernel_w; }
    v /= f32(max(count, 1));
  }
  arena[p.y + t] = keep_channels(v, c, p.channels);
}
