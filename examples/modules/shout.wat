;; The input in capitals. `upper.wat` is named by the digest of its bytes; it brings a dependency of its own.
(module
  (import "blake3:abdd3f74c14837ea3b63f9588882819e624053f04d5fa4dd30c7fadcfc2767a9" "upper"
    (func $upper (param i32) (result i32)))
  (memory (export "memory") 2)
  (func (export "alloc") (param $length i32) (result i32) (i32.const 0))
  (func (export "run") (param $from i32) (param $length i32) (result i64)
    (local $at i32)
    (block $done (loop $next
      (br_if $done (i32.eq (local.get $at) (local.get $length)))
      (i32.store8
        (i32.add (local.get $from) (local.get $at))
        (call $upper (i32.load8_u (i32.add (local.get $from) (local.get $at)))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br $next)))
    (i64.or
      (i64.shl (i64.extend_i32_u (local.get $from)) (i64.const 32))
      (i64.extend_i32_u (local.get $length)))))
