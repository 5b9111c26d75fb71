// 1 / |f'|, or 0 for a zero vector: one workgroup.
struct Params { centred: u32, norm: u32, groups: u32 }

override WG: u32 = 64u;

var<workgroup> sums: array<f32, 64>;

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) i: u32) {
  var sum = 0.0;
  for (var c = i; c < p.groups; c += 64u) {
    let v = arena[p.centred + c];
    sum += dot(v, v);
  }
  sums[i] = sum;
  workgroupBarrier();
  if (i == 0u) {
    var all = 0.0;
    for (var j = 0u; j < 64u; j++) { all += sums[j]; }
    var inverse = 0.0;
    if (all > 0.0) { inverse = 1.0 / sqrt(all); }
    arena[p.norm] = vec4<f32>(inverse);
  }
}
