;; A letter of ASCII as its capital, any other byte as it is. `between.wat` is named by the digest of its bytes.
(module
  (import "blake3:3910b448af0040467584c49c2b7e6bdc6a28ea557b79b50ccf111762a5839a15" "between"
    (func $between (param i32 i32 i32) (result i32)))
  (func (export "upper") (param $byte i32) (result i32)
    (if (result i32) (call $between (local.get $byte) (i32.const 97) (i32.const 122))
      (then (i32.sub (local.get $byte) (i32.const 32)))
      (else (local.get $byte)))))
