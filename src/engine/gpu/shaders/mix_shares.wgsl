// Each cell's share in spatial attention pooling (CroW, arXiv 1512.04065): the root of its sum over channels, where that is
// positive, over the sum of these; the same for all cells if none is. One workgroup, in place.

// Which of the four cells of a quad are there.
fn there(quad: u32) -> vec4<bool> {
  return vec4<u32>(4u * quad) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(p.cells);
}

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) lane: u32) {
  var sum = 0.0;
  for (var q = lane; q < p.quads; q += 64u) {
    let root = select(vec4<f32>(0.0), sqrt(max(arena[p.shares + q], vec4<f32>(0.0))), there(q));
    arena[p.shares + q] = root;
    sum += dot(root, vec4<f32>(1.0));
  }
  let all = tree_sum(sum, lane);
  for (var q = lane; q < p.quads; q += 64u) {
    let even = select(vec4<f32>(0.0), vec4<f32>(1.0 / f32(p.cells)), there(q));
    var share = even;
    if (all > 0.0) { share = arena[p.shares + q] / all; }
    arena[p.shares + q] = share;
  }
}
