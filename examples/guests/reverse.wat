;; Returns its input backwards: the buffer shape of the pure profile in its smallest form.
;; `alloc` hands out memory from 64 KiB upwards and grows when it must; a refused growth ends in `unreachable`.
(module
  (memory (export "memory") 1)
  (global $free (mut i32) (i32.const 65536))
  (func $alloc (export "alloc") (param $length i32) (result i32)
    (local $at i32)
    (local.set $at (global.get $free))
    (global.set $free (i32.add (local.get $at) (local.get $length)))
    (if (i32.gt_u (global.get $free) (i32.shl (memory.size) (i32.const 16)))
      (then
        (if (i32.eq (i32.const -1)
              (memory.grow (i32.add (i32.const 1) (i32.shr_u (local.get $length) (i32.const 16)))))
          (then unreachable))))
    (local.get $at))
  (func (export "run") (param $from i32) (param $length i32) (result i64)
    (local $to i32) (local $index i32)
    (local.set $to (call $alloc (local.get $length)))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $index) (local.get $length)))
        (i32.store8
          (i32.add (local.get $to) (local.get $index))
          (i32.load8_u
            (i32.sub
              (i32.add (local.get $from) (local.get $length))
              (i32.add (local.get $index) (i32.const 1)))))
        (local.set $index (i32.add (local.get $index) (i32.const 1)))
        (br $next)))
    (i64.or
      (i64.shl (i64.extend_i32_u (local.get $to)) (i64.const 32))
      (i64.extend_i32_u (local.get $length)))))
