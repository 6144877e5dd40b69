;; The smallest useful guest: the value shape of the pure profile. The output is four bytes, 2a 00 00 00.
(module
  (func (export "run") (result i32)
    (i32.const 42)))
