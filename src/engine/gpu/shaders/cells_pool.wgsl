// The mean cell and the mean cell of the border ring of four channels, one invocation each.
// In every cells kernel `arena` is the readout's own buffer and `weights` holds the activation maps of one layer.
struct Params { mean: u32, ring: u32, groups: u32, height: u32, width: u32, row: u32 }

override WG: u32 = 64u;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let c = id.x + id.y * p.row;
  if (c >= p.groups) { return; }
  var all = vec4<f32>(0.0);
  var inner = vec4<f32>(0.0);
  for (var y = 0u; y < p.height; y++) {
    for (var x = 0u; x < p.width; x++) {
      let v = float_weights((y * p.width + x) * p.groups + c);
      all += v;
      if (y > 0u && x > 0u && y + 1u < p.height && x + 1u < p.width) { inner += v; }
    }
  }
  let cells = f32(p.height * p.width);
  arena[p.mean + c] = all / cells;
  // Where a side has fewer than three cells, all are on the ring.
  var ring = cells;
  if (p.height > 2u && p.width > 2u) { ring -= f32((p.height - 2u) * (p.width - 2u)); }
  arena[p.ring + c] = (all - inner) / ring;
}
