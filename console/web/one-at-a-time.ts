/** One after the other: what is asked for while it runs is done once more when it has ended, and never cuts it short. Pure. */
export function oneAtATime(run: () => Promise<void>): () => Promise<void> {
  let isRunning = false
  let isAskedAgain = false
  return async () => {
    isAskedAgain = true
    if (isRunning) return
    isRunning = true
    try {
      while (isAskedAgain) {
        isAskedAgain = false
        await run()
      }
    } finally {
      isRunning = false
    }
  }
}
