;; Where strings begin, end or are interrupted: quotes, backslashes and control characters, 16 bytes at a
;; time. structural-index.ts has this as it is assembled, and structural-index.test.ts assembles it again.
(module
  ;; [0, 64 KiB): a line; [64 KiB, 320 KiB): the places that are found in it, four bytes each.
  (import "js" "memory" (memory 5))
  ;; Looks at [0, $length) and up to 15 bytes further, where structural-index.ts leaves nothing to be found; writes
  ;; places from $out on and gives how many.
  (func (export "mark") (param $length i32) (param $out i32) (result i32)
    (local $at i32) (local $mask i32) (local $to i32) (local $v v128)
    (local.set $to (local.get $out))
    (loop $blocks
      (local.set $v (v128.load (local.get $at)))
      (local.set $mask
        (i8x16.bitmask
          (v128.or
            (v128.or
              (i8x16.eq (local.get $v) (v128.const i8x16 34 34 34 34 34 34 34 34 34 34 34 34 34 34 34 34))
              (i8x16.eq (local.get $v) (v128.const i8x16 92 92 92 92 92 92 92 92 92 92 92 92 92 92 92 92)))
            (i8x16.lt_u (local.get $v) (v128.const i8x16 32 32 32 32 32 32 32 32 32 32 32 32 32 32 32 32)))))
      (block $done
        (br_if $done (i32.eqz (local.get $mask)))
        (loop $bits
          (i32.store (local.get $to) (i32.add (local.get $at) (i32.ctz (local.get $mask))))
          (local.set $to (i32.add (local.get $to) (i32.const 4)))
          (br_if $bits (local.tee $mask (i32.and (local.get $mask) (i32.sub (local.get $mask) (i32.const 1)))))))
      (br_if $blocks (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 16))) (local.get $length))))
    (i32.shr_u (i32.sub (local.get $to) (local.get $out)) (i32.const 2))))
