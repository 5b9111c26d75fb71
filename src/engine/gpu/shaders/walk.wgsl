// Walks over up to six dimensions, the last ones used: what has `t` places before it, and where it lies.
fn walk(t: u32, dims: Axes) -> Axes {
  var rest = t;
  let i5 = rest % dims.hi.y; rest /= dims.hi.y;
  let i4 = rest % dims.hi.x; rest /= dims.hi.x;
  let i3 = rest % dims.lo.w; rest /= dims.lo.w;
  let i2 = rest % dims.lo.z; rest /= dims.lo.z;
  let i1 = rest % dims.lo.y; rest /= dims.lo.y;
  return Axes(vec4<u32>(rest, i1, i2, i3), vec4<u32>(i4, i5, 0u, 0u));
}

fn place(index: Axes, strides: Axes) -> u32 {
  return dot(index.lo, strides.lo) + dot(index.hi, strides.hi);
}

// The index along the innermost dimension, where channels may end with padding.
fn innermost(index: Axes) -> u32 {
  return index.hi.y;
}
