;; What JavaScript's numbers do slowly: sums of products of whole numbers of 16 bits, exact, for the
;; 1x1 layers of the integer network; the entropy decoder's state and white noise, of 64 bits; and
;; the linear map of previews. WebAssembly is quick from its first call on, too.
;; tools/assemble.mjs makes kernel.js of this.
(module
  (memory (export "memory") 1)
  (global $state (mut i64) (i64.const 0))
  (global $words (mut i32) (i32.const 0))
  (global $left (mut i32) (i32.const 0)) ;; words that are not taken yet

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
      (br_if $pixel (local.get $count))))

  ;; Range ANS (docs/format.md): `count` words at `words`, the last one first.
  (func (export "start") (param $words i32) (param $count i32)
    (global.set $words (local.get $words))
    (global.set $left (local.get $count))
    (global.set $state (i64.const 0))
    (call $refill)
    (call $refill))

  (func $refill
    (if (i32.and (i64.lt_u (global.get $state) (i64.const 0x100000000)) (i32.ne (global.get $left) (i32.const 0)))
      (then
        (global.set $left (i32.sub (global.get $left) (i32.const 1)))
        (global.set $state (i64.or
          (i64.shl (global.get $state) (i64.const 32))
          (i64.load32_u (i32.add (global.get $words) (i32.shl (global.get $left) (i32.const 2)))))))))

  ;; Whether anything is left.
  (func (export "remains") (result i32)
    (i32.or (i64.ne (global.get $state) (i64.const 0)) (i32.ne (global.get $left) (i32.const 0))))

  ;; The quantile lies in an interval that begins at `from` and is `p` long.
  (func $advance (param $quantile i32) (param $from i32) (param $p i32)
    (global.set $state (i64.add
      (i64.mul (i64.shr_u (global.get $state) (i64.const 24)) (i64.extend_i32_u (local.get $p)))
      (i64.extend_i32_u (i32.sub (local.get $quantile) (local.get $from)))))
    (call $refill))

  ;; One entry of a model: `bounds` are where its entries begin (32 bits each), `begin` (16 bits each)
  ;; which is the first one to look at, by the quantile without its lower `shift` bits.
  (func $entry (param $bounds i32) (param $begin i32) (param $shift i32) (result i32)
    (local $quantile i32) (local $entry i32) (local $at i32)
    (local.set $quantile (i32.and (i32.wrap_i64 (global.get $state)) (i32.const 0xFFFFFF)))
    (local.set $entry (i32.load16_u (i32.add
      (local.get $begin)
      (i32.shl (i32.shr_u (local.get $quantile) (local.get $shift)) (i32.const 1)))))
    (local.set $at (i32.add (local.get $bounds) (i32.shl (local.get $entry) (i32.const 2))))
    (block $found
      (loop $next
        (br_if $found (i32.gt_u (i32.load offset=4 (local.get $at)) (local.get $quantile)))
        (local.set $at (i32.add (local.get $at) (i32.const 4)))
        (local.set $entry (i32.add (local.get $entry) (i32.const 1)))
        (br $next)))
    (call $advance (local.get $quantile) (i32.load (local.get $at))
      (i32.sub (i32.load offset=4 (local.get $at)) (i32.load (local.get $at))))
    (local.get $entry))

  ;; The next `count` entries of a model, into out (16 bits each).
  (func (export "entries") (param $out i32) (param $count i32) (param $bounds i32) (param $begin i32) (param $shift i32)
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $count)))
        (i32.store16 (local.get $out) (call $entry (local.get $bounds) (local.get $begin) (local.get $shift)))
        (local.set $out (i32.add (local.get $out) (i32.const 2)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $next))))

  ;; Which of `total` symbols are not 0, by the runs of zeros before them, into out (32 bits each):
  ;; how many, or -1 where one would lie after the last.
  (func (export "places") (param $out i32) (param $total i32) (param $longest i32)
    (param $bounds i32) (param $begin i32) (param $shift i32) (result i32)
    (local $at i32) (local $count i32) (local $run i32)
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $at) (local.get $total)))
        (local.set $run (call $entry (local.get $bounds) (local.get $begin) (local.get $shift)))
        (local.set $at (i32.add (local.get $at) (local.get $run)))
        (br_if $next (i32.ge_u (local.get $run) (local.get $longest)))
        (if (i32.ge_u (local.get $at) (local.get $total)) (then (return (i32.const -1))))
        (i32.store (i32.add (local.get $out) (i32.shl (local.get $count) (i32.const 2))) (local.get $at))
        (local.set $count (i32.add (local.get $count) (i32.const 1)))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $next)))
    (local.get $count))

  ;; A number that is uniform over 2^bits values, 16 bits at most.
  (func (export "uniform") (param $bits i32) (result i32)
    (local $quantile i32) (local $shift i32) (local $found i32)
    (local.set $quantile (i32.and (i32.wrap_i64 (global.get $state)) (i32.const 0xFFFFFF)))
    (local.set $shift (i32.sub (i32.const 24) (local.get $bits)))
    (local.set $found (i32.shr_u (local.get $quantile) (local.get $shift)))
    (call $advance (local.get $quantile) (i32.shl (local.get $found) (local.get $shift))
      (i32.shl (i32.const 1) (local.get $shift)))
    (local.get $found))

  ;; sums (places, vectors of 4) += values (places) times row (vectors of 4), as floats.
  (func (export "mapped") (param $sums i32) (param $values i32) (param $row i32) (param $places i32) (param $vectors i32)
    (local $value v128) (local $at i32) (local $k i32)
    (loop $place
      (local.set $value (v128.load32_splat (local.get $values)))
      (local.set $at (local.get $row))
      (local.set $k (local.get $vectors))
      (loop $four
        (v128.store (local.get $sums) (f32x4.add
          (v128.load (local.get $sums))
          (f32x4.mul (local.get $value) (v128.load (local.get $at)))))
        (local.set $sums (i32.add (local.get $sums) (i32.const 16)))
        (local.set $at (i32.add (local.get $at) (i32.const 16)))
        (local.set $k (i32.sub (local.get $k) (i32.const 1)))
        (br_if $four (local.get $k)))
      (local.set $values (i32.add (local.get $values) (i32.const 4)))
      (local.set $places (i32.sub (local.get $places) (i32.const 1)))
      (br_if $place (local.get $places)))))
