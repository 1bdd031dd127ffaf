;; What needs more than JavaScript's numbers: sums of products of whole numbers of 16 bits, exact,
;; for the 1x1 layers of the integer network; and white noise, by arithmetic modulo 2^64.
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
      (br_if $output (local.get $outputs))))

  ;; SplitMix64's number of `z`, of which the bytes of each half are added up: the lower half's
  ;; sum in bits 0 to 15, the upper one's in bits 16 to 31.
  (func $sums (param $z i64) (result i64)
    (local.set $z (i64.mul (i64.const 0xBF58476D1CE4E5B9)
      (i64.xor (local.get $z) (i64.shr_u (local.get $z) (i64.const 30)))))
    (local.set $z (i64.mul (i64.const 0x94D049BB133111EB)
      (i64.xor (local.get $z) (i64.shr_u (local.get $z) (i64.const 27)))))
    (local.set $z (i64.xor (local.get $z) (i64.shr_u (local.get $z) (i64.const 31))))
    (local.set $z (i64.add
      (i64.and (local.get $z) (i64.const 0x00FF00FF00FF00FF))
      (i64.and (i64.shr_u (local.get $z) (i64.const 8)) (i64.const 0x00FF00FF00FF00FF))))
    (local.set $z (i64.add (local.get $z) (i64.shr_u (local.get $z) (i64.const 16))))
    (i64.or
      (i64.and (local.get $z) (i64.const 0xFFFF))
      (i64.and (i64.shr_u (local.get $z) (i64.const 16)) (i64.const 0xFFFF0000))))

  ;; The sums of bytes of GRAIN's four planes (docs/format.md), of 16 bits each, for `count` pixels
  ;; in a row, of which the first one's number is n: out (count, 4).
  (func (export "noise") (param $out i32) (param $n f64) (param $count i32) (param $seed i32)
    (local $z i64)
    (local.set $z (i64.add
      (i64.mul (i64.shl (i64.trunc_f64_u (local.get $n)) (i64.const 1)) (i64.const 0x9E3779B97F4A7C15))
      (i64.mul (i64.extend_i32_u (local.get $seed)) (i64.const 0xBF58476D1CE4E5B9))))
    (loop $pixel
      (i64.store (local.get $out) (i64.or
        (call $sums (local.get $z))
        (i64.shl
          (call $sums (i64.add (local.get $z) (i64.const 0x9E3779B97F4A7C15)))
          (i64.const 32))))
      (local.set $z (i64.add (local.get $z) (i64.const 0x3C6EF372FE94F82A))) ;; two numbers on
      (local.set $out (i32.add (local.get $out) (i32.const 8)))
      (local.set $count (i32.sub (local.get $count) (i32.const 1)))
      (br_if $pixel (local.get $count)))))
