// r, the root of the mean energy of a cell, and 1 / r or 0: one workgroup.
struct Params { partial: u32, radius: u32, total: u32, cells: f32 }

override WG: u32 = 64u;

var<workgroup> sums: array<f32, 64>;

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) i: u32) {
  var sum = vec4<f32>(0.0);
  for (var t = i; t < p.total; t += 64u) { sum += arena[p.partial + t]; }
  sums[i] = dot(sum, vec4<f32>(1.0));
  workgroupBarrier();
  if (i == 0u) {
    var all = 0.0;
    for (var j = 0u; j < 64u; j++) { all += sums[j]; }
    let r = sqrt(all / p.cells);
    var inverse = 0.0;
    if (r > 0.0) { inverse = 1.0 / r; }
    arena[p.radius] = vec4<f32>(r, inverse, 0.0, 0.0);
  }
}
