// Window pooling: one invocation per pixel and group of four channels, which walks the part of its window that is inside.

override MAX: bool = false;
override COUNT_PAD: bool = false;

// How many steps of `by` lie before the distance `to`.
fn steps(to: i32, by: i32) -> i32 {
  return (max(to, 0) + by - 1) / by;
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let t = id.x + id.y * p.row;
  if (t >= p.total) { return; }
  let c = t % p.groups;
  let pixel = t / p.groups;
  let w = p.window;
  let top = i32(pixel / w.out_w) * w.stride_h - w.pad_top;
  let left = i32(pixel % w.out_w) * w.stride_w - w.pad_left;
  let first_y = steps(-top, w.dilation_h);
  let first_x = steps(-left, w.dilation_w);
  let end_y = min(w.kernel_h, steps(w.in_h - top, w.dilation_h));
  let end_x = min(w.kernel_w, steps(w.in_w - left, w.dilation_w));
  var v = vec4<f32>(select(0.0, -3.4e38, MAX));
  for (var ky = first_y; ky < end_y; ky++) {
    let line = (top + ky * w.dilation_h) * w.in_w + left;
    for (var kx = first_x; kx < end_x; kx++) {
      let x = arena[p.x + u32(line + kx * w.dilation_w) * p.groups + c];
      if (MAX) { v = max(v, x); } else { v += x; }
    }
  }
  if (!MAX) {
    var count = f32(max(end_y - first_y, 0)) * f32(max(end_x - first_x, 0));
    if (COUNT_PAD) { count = f32(w.kernel_h) * f32(w.kernel_w); }
    v /= max(count, 1.0);
  }
  arena[p.y + t] = keep_channels(v, c, p.channels);
}
