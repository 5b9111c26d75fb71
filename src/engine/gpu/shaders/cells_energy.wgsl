// |P (A_i - m)|^2, first step: four rows of P at four cells an invocation, so that the sum over the partial values is the sum over
// cells. Without a factor P is the identity.

override FACTOR: bool = true;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let t = id.x + id.y * p.row;
  if (t >= p.total) { return; }
  let o = t / p.quads;
  let cell = t % p.quads * 4u;
  let last = p.cells - 1u;
#for i 4
  let x{i} = min(cell + {i}u, last) * p.groups;
  var z{i} = vec4<f32>(0.0);
#end
  if (FACTOR) {
    // P is lower triangular: these four rows end with the columns of their own group.
    for (var c = 0u; c <= o; c++) {
      let m = arena[p.mean + c];
      let at = p.factor + (o * p.groups + c) * 4u;
#for k 4
      let p{k} = arena[at + {k}u];
#end
#for i 4
      let v{i} = float_weights(x{i} + c) - m;
      z{i} += p0 * v{i}.x + p1 * v{i}.y + p2 * v{i}.z + p3 * v{i}.w;
#end
    }
  } else {
#for i 4
    z{i} = float_weights(x{i} + o) - arena[p.mean + o];
#end
  }
  let energy = vec4<f32>(dot(z0, z0), dot(z1, z1), dot(z2, z2), dot(z3, z3));
  let within = vec4<u32>(cell, cell + 1u, cell + 2u, cell + 3u) < vec4<u32>(p.cells);
  arena[p.partial + t] = select(vec4<f32>(0.0), energy, within);
}
