/**
 * How many CONNECTs that nobody has vouched for are looked at: per address and in all, before any signature is checked.
 * Only those that fail count; one that succeeds, or that could not be decided, gives back what it took. Pure.
 *
 * A device that was let in from an address before has an allowance of its own there, so that a stranger behind the same
 * address, or everywhere at once, does not lock it out.
 */
import { networkOf } from '../core/runtime/network.ts'

export interface AttemptLimits {
  /** Failures of one address (in IPv6 of a /64) that are looked at in one go, and then so many a second. */
  readonly perAddressBurst: number
  readonly perAddressPerSec: number
  /** The same for all addresses together. */
  readonly burst: number
  readonly perSec: number
}

export interface Attempt {
  /** It was let in: what it took is given back, and it is known at this address from now on. */
  succeeded(): void
  /** It was neither let in nor refused: what it took is given back. */
  undecided(): void
}

/** Of a device at an address where it was let in before. */
const knownBurst = 10
const knownPerSec = 0.5
const namesMax = 20_000

export class Attempts {
  readonly #limits: AttemptLimits
  readonly #all = new Buckets(1)
  readonly #byAddress = new Buckets(namesMax)
  readonly #known = new Buckets(namesMax)

  constructor(limits: AttemptLimits) {
    this.#limits = limits
  }

  /**
   * Takes from the allowances of who comes.
   * @param mqttClientId as the CONNECT claims, in the identifier's grammar
   * @param nowMs monotonic
   * @returns undefined when there is none left: it is not looked at
   */
  begin(mqttClientId: string, address: string, nowMs: number): Attempt | undefined {
    const network = networkOf(address)
    const name = `${network} ${mqttClientId}`
    const { perAddressBurst, perAddressPerSec, burst, perSec } = this.#limits
    const own = this.#known.find(name)
    const taken: Bucket[] = []
    if (own?.take({ burst: knownBurst, perSec: knownPerSec }, nowMs) === true) {
      taken.push(own)
    } else {
      const ofAddress = this.#byAddress.get(network)
      const ofAll = this.#all.get('')
      if (!ofAddress.take({ burst: perAddressBurst, perSec: perAddressPerSec }, nowMs)) return undefined
      if (!ofAll.take({ burst, perSec }, nowMs)) {
        ofAddress.giveBack()
        return undefined
      }
      taken.push(ofAddress, ofAll)
    }
    const undecided = () => {
      for (const bucket of taken.splice(0)) bucket.giveBack()
    }
    return {
      succeeded: () => {
        undecided()
        this.#known.get(name)
      },
      undecided,
    }
  }
}

/** An allowance that fills up again as time goes by. */
class Bucket {
  #taken = 0
  #atMs = Number.NEGATIVE_INFINITY

  take({ burst, perSec }: { burst: number; perSec: number }, nowMs: number): boolean {
    this.#taken = Math.max(0, this.#taken - (Math.max(0, nowMs - this.#atMs) / 1000) * perSec)
    this.#atMs = nowMs
    if (this.#taken + 1 > burst) return false
    this.#taken++
    return true
  }

  giveBack(): void {
    this.#taken = Math.max(0, this.#taken - 1)
  }
}

/** Allowances by name, so many at most: the one that was asked for longest ago is forgotten first. */
class Buckets {
  readonly #max: number
  readonly #byName = new Map<string, Bucket>()

  constructor(max: number) {
    this.#max = max
  }

  find(name: string): Bucket | undefined {
    const bucket = this.#byName.get(name)
    if (bucket === undefined) return undefined
    this.#byName.delete(name)
    this.#byName.set(name, bucket)
    return bucket
  }

  get(name: string): Bucket {
    const known = this.find(name)
    if (known !== undefined) return known
    const bucket = new Bucket()
    this.#byName.set(name, bucket)
    if (this.#byName.size > this.#max) {
      const [oldest] = this.#byName.keys()
      if (oldest !== undefined) this.#byName.delete(oldest)
    }
    return bucket
  }
}
