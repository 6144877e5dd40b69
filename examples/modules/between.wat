;; Whether a number lies between two others, both included. Imports nothing.
(module
  (func (export "between") (param $number i32) (param $least i32) (param $most i32) (result i32)
    (i32.and
      (i32.ge_u (local.get $number) (local.get $least))
      (i32.le_u (local.get $number) (local.get $most)))))
