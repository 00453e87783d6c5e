/** A migration is bundled as its text. */
declare module '*.sql' {
  const text: string
  // biome-ignore lint/style/noDefaultExport: the bundler's text loader gives the file as the default export
  export default text
}
