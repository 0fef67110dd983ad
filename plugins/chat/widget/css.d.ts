/** A style sheet as text; the bundler makes it one. */
declare module '*.css' {
  const text: string;
  export default text;
}
