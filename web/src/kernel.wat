;; Sums of products of whole numbers of 16 bits, exact: the 1x1 layers of the integer network.
;; tools/assemble.mjs makes kernel.js of this.
(module
  (memory (export "memory") 1)

  ;; out (outputs, n) = w (outputs, inputs) times a (n, inputs) transposed. n is a multiple of 4, a
  ;; row of inputs has `bytes` bytes, a multiple of 16.
  (func (export "multiply")
    (param $a i32) (param $w i32) (param $out i32) (param $n i32) (param $outputs i32) (param $bytes i32)
    (local $row0 i32) (local $row1 i32) (local $row2 i32) (local $row3 i32)
    (local $left i32) (local $k i32) (local $weight v128)
    (local $s0 v128) (local $s1 v128) (local $s2 v128) (local $s3 v128)
    (loop $output
      (local.set $row0 (local.get $a))
      (local.set $left (local.get $n))
      (loop $four
        (local.set $row1 (i32.add (local.get $row0) (local.get $bytes)))
        (local.set $row2 (i32.add (local.get $row1) (local.get $bytes)))
        (local.set $row3 (i32.add (local.get $row2) (local.get $bytes)))
        (local.set $s0 (v128.const i32x4 0 0 0 0))
        (local.set $s1 (v128.const i32x4 0 0 0 0))
        (local.set $s2 (v128.const i32x4 0 0 0 0))
        (local.set $s3 (v128.const i32x4 0 0 0 0))
        (local.set $k (i32.const 0))
        (loop $eight
          (local.set $weight (v128.load (i32.add (local.get $w) (local.get $k))))
          (local.set $s0 (i32x4.add (local.get $s0)
            (i32x4.dot_i16x8_s (v128.load (i32.add (local.get $row0) (local.get $k))) (local.get $weight))))
          (local.set $s1 (i32x4.add (local.get $s1)
            (i32x4.dot_i16x8_s (v128.load (i32.add (local.get $row1) (local.get $k))) (local.get $weight))))
          (local.set $s2 (i32x4.add (local.get $s2)
            (i32x4.dot_i16x8_s (v128.load (i32.add (local.get $row2) (local.get $k))) (local.get $weight))))
          (local.set $s3 (i32x4.add (local.get $s3)
            (i32x4.dot_i16x8_s (v128.load (i32.add (local.get $row3) (local.get $k))) (local.get $weight))))
          (local.set $k (i32.add (local.get $k) (i32.const 16)))
          (br_if $eight (i32.lt_u (local.get $k) (local.get $bytes))))
        ;; Four sums of four numbers each, side by side.
        (local.set $s0 (i32x4.add
          (i8x16.shuffle 0 1 2 3 4 5 6 7 16 17 18 19 20 21 22 23 (local.get $s0) (local.get $s1))
          (i8x16.shuffle 8 9 10 11 12 13 14 15 24 25 26 27 28 29 30 31 (local.get $s0) (local.get $s1))))
        (local.set $s2 (i32x4.add
          (i8x16.shuffle 0 1 2 3 4 5 6 7 16 17 18 19 20 21 22 23 (local.get $s2) (local.get $s3))
          (i8x16.shuffle 8 9 10 11 12 13 14 15 24 25 26 27 28 29 30 31 (local.get $s2) (local.get $s3))))
        (v128.store (local.get $out) (i32x4.add
          (i8x16.shuffle 0 1 2 3 8 9 10 11 16 17 18 19 24 25 26 27 (local.get $s0) (local.get $s2))
          (i8x16.shuffle 4 5 6 7 12 13 14 15 20 21 22 23 28 29 30 31 (local.get $s0) (local.get $s2))))
        (local.set $out (i32.add (local.get $out) (i32.const 16)))
        (local.set $row0 (i32.add (local.get $row3) (local.get $bytes)))
        (local.set $left (i32.sub (local.get $left) (i32.const 4)))
        (br_if $four (local.get $left)))
      (local.set $w (i32.add (local.get $w) (local.get $bytes)))
      (local.set $outputs (i32.sub (local.get $outputs) (i32.const 1)))
      (br_if $output (local.get $outputs)))))
