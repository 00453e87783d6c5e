/** How many live streams there are, and of whom: a limit for all, and one for each person. Pure state. */
import { FleetError } from '../../core/contract/errors.ts'

export class Streams {
  readonly #max: number
  readonly #perPersonMax: number
  readonly #byPerson = new Map<string, number>()
  #count = 0

  constructor(max: number) {
    this.#max = max
    this.#perPersonMax = Math.max(8, Math.floor(max / 10))
  }

  /** @returns to be called once, when the stream has ended. @throws FleetError `system.busy` */
  take(person: string): () => void {
    const own = this.#byPerson.get(person) ?? 0
    if (this.#count >= this.#max || own >= this.#perPersonMax)
      throw new FleetError('system.busy', 'too many live streams', {
        safeDetail: 'too many live pages are open; close some',
      })
    this.#count++
    this.#byPerson.set(person, own + 1)
    let isTaken = true
    return () => {
      if (!isTaken) return
      isTaken = false
      this.#count--
      const left = (this.#byPerson.get(person) ?? 1) - 1
      if (left === 0) this.#byPerson.delete(person)
      else this.#byPerson.set(person, left)
    }
  }
}
