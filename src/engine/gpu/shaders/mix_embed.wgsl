// Second step of pooling: partial values to the embedding f, and f - mean; one invocation per four channels.
struct Params {
  embedding: u32, partial: u32, mean: u32, centred: u32,
  groups: u32, chunks: u32, channels: u32, row: u32,
  cells: f32, exponent: f32,
}

override POOLING: u32 = 0u;
override WG: u32 = 64u;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let c = id.x + id.y * p.row;
  if (c >= p.groups) { return; }
  var v = arena[p.partial + c];
  for (var i = 1u; i < p.chunks; i++) {
    let x = arena[p.partial + i * p.groups + c];
    if (POOLING == 1u) { v = max(v, x); } else { v += x; }
  }
  if (POOLING != 1u) { v /= p.cells; }
  if (POOLING == 2u) { v = max(arena[p.embedding + c], vec4<f32>(1e-6)) * pow(v, vec4<f32>(1.0 / p.exponent)); }
  v = keep_channels(v, c, p.channels);
  arena[p.embedding + c] = v;
  arena[p.centred + c] = v - arena[p.mean + c];
}
