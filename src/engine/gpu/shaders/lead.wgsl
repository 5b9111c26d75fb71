// The place of matrix `t` of a batched op along the up to four dimensions before the matrices.
fn lead_of(t: u32, dims: vec4<u32>) -> vec4<u32> {
  var rest = t;
  let i3 = rest % dims.w; rest /= dims.w;
  let i2 = rest % dims.z; rest /= dims.z;
  let i1 = rest % dims.y; rest /= dims.y;
  return vec4<u32>(rest, i1, i2, i3);
}
