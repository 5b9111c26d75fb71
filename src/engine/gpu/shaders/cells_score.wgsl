// The score of a class, the mean of its map: one invocation a class.
struct Params { maps: u32, scores: u32, classes: u32, cells: u32, quads: u32, row: u32 }

override WG: u32 = 64u;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let k = id.x + id.y * p.row;
  if (k >= p.classes) { return; }
  var sum = vec4<f32>(0.0);
  for (var q = 0u; q < p.quads; q++) {
    let cell = q * 4u;
    let within = vec4<u32>(cell, cell + 1u, cell + 2u, cell + 3u) < vec4<u32>(p.cells);
    sum += select(vec4<f32>(0.0), arena[p.maps + k * p.quads + q], within);
  }
  arena[p.scores + k] = vec4<f32>(dot(sum, vec4<f32>(1.0)) / f32(p.cells));
}
