// Second step of pooling: partial values to the embedding f, and f - mean; one invocation per four channels.

override POOLING: u32 = POOLING_MEAN;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let c = id.x + id.y * p.row;
  if (c >= p.groups) { return; }
  var v = arena[p.partial + c];
  for (var i = 1u; i < p.chunks; i++) {
    let x = arena[p.partial + i * p.groups + c];
    if (POOLING == POOLING_MAX) { v = max(v, x); } else { v += x; }
  }
  if (POOLING != POOLING_MAX) { v /= p.cells; }
  if (POOLING == POOLING_POWER) { v = max(arena[p.embedding + c], vec4<f32>(1e-6)) * pow(v, vec4<f32>(1.0 / p.exponent)); }
  v = keep_channels(v, c, p.channels);
  arena[p.embedding + c] = v;
  arena[p.centred + c] = v - arena[p.mean + c];
}
