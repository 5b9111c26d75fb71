// A function of one tensor, or of two of which the second is of the same shape, one value per channel (or repeats in
// another way, with `groups` of four until it does), or one value:
// one invocation per pixel and group of four channels.
struct Params {
  x: u32, second: u32, y: u32, groups: u32,
  total: u32, row: u32, channels: u32, a: f32,
  b: f32, scale: f32, zero: f32, low: f32,
  high: f32,
}

// 0: none, 1: x + s, 2: x - s, 3: x * s, 4: x / s, 5: min, 6: max, 7: x ^ s, 8: s - x, 9: s / x, 10: s ^ x,
// 11: rounded to whole numbers, 12: the same and back again, 13: x > s, 14: s > x, 15: x = s, 16: x where s is not 0,
// 17: s where x is not 0
override OP: u32 = 0u;
// Index of the second operand. 0: as the first, 1: the channel, 2: lane 0 of a single value.
override SECOND: u32 = 0u;
override WG: u32 = 64u;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let t = id.x + id.y * p.row;
  if (t >= p.total) { return; }
  let c = t % p.groups;
  var v = arena[p.x + t];
  if (OP == 11u || OP == 12u) {
    v = clamp(round(v / p.scale) + p.zero, vec4<f32>(p.low), vec4<f32>(p.high));
    if (OP == 12u) { v = (v - p.zero) * p.scale; }
  } else if (OP != 0u) {
    var s = vec4<f32>(0.0);
    if (SECOND == 0u) { s = arena[p.second + t]; }
    if (SECOND == 1u) { s = arena[p.second + c]; }
    if (SECOND == 2u) { s = vec4<f32>(arena[p.second].x); }
    if (OP == 1u) { v = v + s; }
    if (OP == 2u) { v = v - s; }
    if (OP == 3u) { v = v * s; }
    if (OP == 4u) { v = v / s; }
    if (OP == 5u) { v = min(v, s); }
    if (OP == 6u) { v = max(v, s); }
    if (OP == 7u) { v = power(v, s); }
    if (OP == 8u) { v = s - v; }
    if (OP == 9u) { v = s / v; }
    if (OP == 10u) { v = power(s, v); }
    let none = vec4<f32>(0.0);
    if (OP == 13u) { v = select(none, vec4<f32>(1.0), v > s); }
    if (OP == 14u) { v = select(none, vec4<f32>(1.0), s > v); }
    if (OP == 15u) { v = select(none, vec4<f32>(1.0), v == s); }
    if (OP == 16u) { v = select(v, none, s == none); }
    if (OP == 17u) { v = select(s, none, v == none); }
  }
  arena[p.y + t] = keep_channels(activate(v, p.a, p.b), c, p.channels);
}
