/** Before any test: the bundles that system tests start are those of this source. */
import { build } from '../../scripts/build.mjs'

export async function setup(): Promise<void> {
  await build()
}
