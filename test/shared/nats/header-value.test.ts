import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { headerValue } from '../../../src/shared/nats/header-value.ts'

const HOSTILE = 'A\r\nNats-Rollup: all\r\n\r\nПроцесс\0 100%'
const ENCODED =
  'A%0D%0ANats-Rollup: all%0D%0A%0D%0A%D0%9F%D1%80%D0%BE%D1%86%D0%B5%D1%81%D1%81%00 100%25'

describe('headerValue', () => {
  it('is printable ASCII on one line, bounded, and can be read back', () => {
    expect(headerValue(HOSTILE)).toBe(ENCODED)
    expect(decodeURIComponent(headerValue(HOSTILE))).toBe(HOSTILE)
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 600 }), (text) => {
        const value = headerValue(text)
        expect(value).toMatch(/^[ -~]{0,256}$/)
        expect(value.trim()).toBe(value)
        expect(text.toWellFormed().trim().startsWith(decodeURIComponent(value))).toBe(true)
      }),
    )
    expect(headerValue('\ud800')).toBe('%EF%BF%BD')
  })
})
