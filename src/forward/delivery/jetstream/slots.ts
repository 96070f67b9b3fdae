// The slots of the publish window, one for each alert in flight. They are made once: an alert allocates nothing.
// They are taken in turn, so that an alert waits until the one a window before it has released its slot: no alert
// gets further than that ahead of one that is still in flight.
//
//   free ──take──▶ sent ──fail──▶ failed ──retry──▶ again ──fail──▶ failed …      any of them ──release──▶ free

const emptySlot = <D>() => ({
  state: 'free' as 'free' | 'sent' | 'failed' | 'again',
  delivery: undefined as D | undefined,
  /** Index in the batch of the delivery. */
  alert: 0,
  /** The server replies to it. Alerts are numbered as they take their slots: modulo the number of slots it is the index. */
  token: 0,
  /** Number of the alert's last publication in this session; Infinity before the first. */
  publication: 0,
})

export type Slot<D> = ReturnType<typeof emptySlot<D>>

export function createSlots<D>(max: number) {
  const slots = Array.from({ length: max }, () => emptySlot<D>())
  let issued = 0
  let taken = 0
  let failing = 0

  function enter(slot: Slot<D>, state: Slot<D>['state']): void {
    failing += Number(isFailing(state)) - Number(isFailing(slot.state))
    slot.state = state
  }

  return {
    /** How many have failed and are not stored yet, retried ones included. */
    failing: () => failing,
    /** Undefined: the next slot is taken. */
    take(delivery: D, alert: number): Slot<D> | undefined {
      const slot = slots[issued % max]!
      if (slot.state !== 'free') return undefined
      taken++
      slot.delivery = delivery
      slot.alert = alert
      slot.token = issued++
      slot.publication = Number.POSITIVE_INFINITY
      enter(slot, 'sent')
      return slot
    },
    fail: (slot: Slot<D>) => enter(slot, 'failed'),
    retry: (slot: Slot<D>) => enter(slot, 'again'),
    release(slot: Slot<D>): void {
      enter(slot, 'free')
      slot.delivery = undefined
      taken--
    },
    /** Undefined: the alert has released its slot. */
    byToken(token: number): Slot<D> | undefined {
      const slot = slots[token % max]
      return slot?.token === token && slot.state !== 'free' ? slot : undefined
    },
    /** In the order in which they were taken. */
    failed: () => slots.filter(({ state }) => state === 'failed').sort((a, b) => a.token - b.token),
    /** Those that wait for the answer to a publication up to this one. */
    waitingFor: (upTo: number) =>
      taken === 0 ? [] : slots.filter((slot) => isWaiting(slot, upTo)),
  }
}

const isFailing = (state: Slot<unknown>['state']) => state === 'failed' || state === 'again'
const isWaiting = ({ state, publication }: Slot<unknown>, upTo: number) =>
  (state === 'sent' || state === 'again') && publication <= upTo
