// Product of row-major matrices whose rows are whole groups of four, one pair for each place of the leading dimensions:
// one invocation computes four rows of one group of four columns. Places are in groups of four.
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let t = id.x + id.y * p.row;
  if (t >= p.total) { return; }
  let n = t % p.columns;
  let tile = t / p.columns % p.tiles;
  let batch = t / p.columns / p.tiles;
  let lead = lead_of(batch, p.dims);
  let a = p.a + dot(lead, p.a_lead);
  let last = p.rows - 1u;
#for i 4
  let a{i} = a + min(tile * 4u + {i}u, last) * p.depth;
  var sum{i} = vec4<f32>(0.0);
#end
  var b = p.b + dot(lead, p.b_lead) + n;
  for (var k = 0u; k < p.depth; k++) {
    let m = mat4x4<f32>(
      arena[b],
      arena[b + p.columns],
      arena[b + 2u * p.columns],
      arena[b + 3u * p.columns]);
#for i 4
    sum{i} += m * arena[a{i} + k];
#end
    b += 4u * p.columns;
  }
#for i 4
  if (tile * 4u + {i}u < p.rows) {
    arena[p.y + (batch * p.rows + tile * 4u + {i}u) * p.columns + n] = sum{i};
  }
#end
}
