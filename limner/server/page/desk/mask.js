// What was done on the desk, step by step: strokes of the mask, which say what will be drawn anew,
// and edges that were pulled out. Undo takes the last step back.

const INK = "#2f6fed"; // seen on most pictures; only its alpha counts

const NO_PADS = { left: 0, right: 0, top: 0, bottom: 0 };

// Strokes are in pixels of the picture; the canvas is wider by `pads` on each side.
export class Mask {
  constructor(steps = []) {
    this.steps = steps;
    this.undone = [];
  }

  get strokes() { return this.steps.filter(({ kind }) => kind in PAINTERS); }
  get isEmpty() { return this.strokes.length === 0; }
  get pads() { return this.steps.findLast(({ kind }) => kind === "pads")?.pads || NO_PADS; }

  add(step) {
    this.steps.push(step);
    this.undone = [];
  }

  // What comes of one `pull` of an edge is one step.
  widen(pads, pull) {
    if (this.steps.at(-1)?.pull === pull) this.steps.pop();
    this.add({ kind: "pads", pads, pull });
  }

  undo() {
    if (this.steps.length) this.undone.push(this.steps.pop());
  }

  redo() {
    if (this.undone.length) this.steps.push(this.undone.pop());
  }

  // Paint all strokes on `canvas`, whose picture begins at (left, top).
  paint(canvas, { left, top }, { width, height }) {
    const draw = canvas.getContext("2d");
    draw.setTransform(1, 0, 0, 1, 0, 0);
    draw.clearRect(0, 0, canvas.width, canvas.height);
    draw.setTransform(1, 0, 0, 1, left, top);
    draw.fillStyle = draw.strokeStyle = INK;
    draw.lineCap = draw.lineJoin = "round";
    for (const stroke of this.strokes) PAINTERS[stroke.kind](draw, stroke, { width, height });
    draw.globalCompositeOperation = "source-over";
  }
}

const PAINTERS = {
  line(draw, { points, size, erases }) {
    draw.globalCompositeOperation = erases ? "destination-out" : "source-over";
    draw.lineWidth = size;
    draw.beginPath(); // a line without length would not be drawn: so a disc at its start
    draw.arc(...points[0], size / 2, 0, 2 * Math.PI);
    draw.fill();
    draw.beginPath();
    draw.moveTo(...points[0]);
    for (const point of points) draw.lineTo(...point);
    draw.stroke();
  },
  box(draw, { from: [x0, y0], to: [x1, y1] }) {
    draw.globalCompositeOperation = "source-over";
    draw.fillRect(Math.min(x0, x1), Math.min(y0, y1), Math.abs(x1 - x0), Math.abs(y1 - y0));
  },
  invert(draw, stroke, { width, height }) {
    draw.globalCompositeOperation = "xor";
    draw.fillRect(0, 0, width, height);
  },
  clear(draw, stroke, { width, height }) {
    draw.globalCompositeOperation = "destination-out";
    draw.fillRect(0, 0, width, height);
  },
};

const blobOf = (canvas) => new Promise((resolve) => canvas.toBlob(resolve, "image/png"));

function sized(width, height) {
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width, height });
  return canvas;
}

// The mask as the API wants it: transparent where the picture is to change. Null if that is nowhere.
export async function maskFile(painted, pads, { width, height }) {
  const canvas = sized(painted.width, painted.height);
  const draw = canvas.getContext("2d");
  draw.fillRect(pads.left, pads.top, width, height); // beyond the picture all is transparent
  draw.globalCompositeOperation = "destination-out";
  draw.drawImage(painted, 0, 0);
  const alphas = draw.getImageData(0, 0, canvas.width, canvas.height);
  let n = 0;
  for (let at = 3; at < alphas.data.length; at += 4) {
    // Soft edges of a brush belong to it.
    if (alphas.data[at] < 255) { alphas.data[at] = 0; n += 1; }
  }
  draw.putImageData(alphas, 0, 0);
  return n ? blobOf(canvas) : null;
}

// The picture on a larger canvas, transparent around it.
export async function widened(image, pads, { width, height }) {
  const canvas = sized(width + pads.left + pads.right, height + pads.top + pads.bottom);
  canvas.getContext("2d").drawImage(image, pads.left, pads.top);
  return blobOf(canvas);
}
