// The score of a class, the mean of its map: one workgroup a class.

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let k = id.x + id.y * p.row;
  if (k >= p.classes) { return; }
  var sum = vec4<f32>(0.0);
  for (var q = lane; q < p.quads; q += 64u) {
    let cell = q * 4u;
    let within = vec4<u32>(cell, cell + 1u, cell + 2u, cell + 3u) < vec4<u32>(p.cells);
    sum += select(vec4<f32>(0.0), arena[p.maps + k * p.quads + q], within);
  }
  let all = tree_sum(dot(sum, vec4<f32>(1.0)), lane);
  if (lane == 0u) { arena[p.scores + k] = vec4<f32>(all / f32(p.cells)); }
}
