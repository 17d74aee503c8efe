package engine

// KeptBack is how long what River logs is held back.
const KeptBack = keptBack
