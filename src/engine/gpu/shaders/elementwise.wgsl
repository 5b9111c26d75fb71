// A function of one tensor, or of two of which the second is of the same shape, one value per channel (or repeats in
// another way, with `groups` of four until it does), or one value:
// one invocation per pixel and group of four channels.

// Where the second operand lies: as the first, by channel, or a single value in lane 0.
override SECOND: u32 = SECOND_SAME;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let t = id.x + id.y * p.row;
  if (t >= p.total) { return; }
  let c = t % p.groups;
  var v = arena[p.x + t];
  if (OP == OP_ROUND || OP == OP_ROUND_BACK) {
    v = clamp(round(v / p.scale) + p.zero, vec4<f32>(p.low), vec4<f32>(p.high));
    if (OP == OP_ROUND_BACK) { v = (v - p.zero) * p.scale; }
  } else if (OP != OP_NONE) {
    var s = vec4<f32>(0.0);
    if (SECOND == SECOND_SAME) { s = arena[p.second + t]; }
    if (SECOND == SECOND_CHANNEL) { s = arena[p.second + c]; }
    if (SECOND == SECOND_SINGLE) { s = vec4<f32>(arena[p.second].x); }
    v = combine(v, s);
  }
  arena[p.y + t] = keep_channels(activate(v, p.a, p.b), c, p.channels);
}
