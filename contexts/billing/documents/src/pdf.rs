//! An invoice as PDF/A-3: what people read, with the UBL attached, where all that it needs is known.

use std::sync::LazyLock;

use billing_books::{Invoice, invoice::InvoiceState, tax::Treatment};
use kernel::Timestamp;
use krilla::{
    Data, Document, SerializeSettings,
    color::rgb,
    configure::{Archival, Configuration, ConfigurationBuilder},
    embed::{AssociationKind, EmbeddedFile, MimeType},
    geom::{PathBuilder, Point, Rect},
    metadata::{DateTime, Metadata},
    page::PageSettings,
    paint::Fill,
    surface::Surface,
    text::{Font, TextDirection},
};

use crate::{
    Missing, ubl,
    words::{Language, Words, amount, day},
};

/// A4, in points, and its margins.
const WIDTH: f32 = 595.0;
const HEIGHT: f32 = 842.0;
const LEFT: f32 = 56.0;
const RIGHT: f32 = WIDTH - 56.0;
const BOTTOM: f32 = HEIGHT - 64.0;
/// From one line of text to the next, by its size.
const LEADING: f32 = 1.45;
const INK: (u8, u8, u8) = (23, 33, 43);
const QUIET: (u8, u8, u8) = (82, 96, 109);
const RULE: (u8, u8, u8) = (200, 208, 216);

/// A font with what is needed to measure text by it.
struct Face {
    font: Font,
    face: ttf_parser::Face<'static>,
}

impl Face {
    fn new(bytes: &'static [u8]) -> Option<Self> {
        let font =
            Font::new(Data::from(std::sync::Arc::new(bytes) as std::sync::Arc<dyn AsRef<[u8]> + Send + Sync>), 0)?;
        Some(Self { font, face: ttf_parser::Face::parse(bytes, 0).ok()? })
    }

    fn width(&self, text: &str, size: f32) -> f32 {
        let units: u32 = text
            .chars()
            .map(|letter| {
                let glyph = self.face.glyph_index(letter).unwrap_or_default();
                u32::from(self.face.glyph_hor_advance(glyph).unwrap_or_default())
            })
            .sum();
        #[expect(clippy::cast_precision_loss, reason = "a line has no million units")]
        let units = units as f32;
        units / f32::from(self.face.units_per_em()) * size
    }

    /// The text without what the font has no form for.
    fn known(&self, text: &str) -> String {
        let known = |letter: char| if self.face.glyph_index(letter).is_some() { letter } else { '\u{fffd}' };
        text.chars().filter(|letter| !letter.is_control()).map(known).collect()
    }

    /// Lines that are no wider than `most`.
    fn broken(&self, text: &str, size: f32, most: f32) -> Vec<String> {
        let mut lines = Vec::new();
        for paragraph in text.lines() {
            let mut line = String::new();
            for word in self.known(paragraph).split_whitespace() {
                let longer = if line.is_empty() { word.to_owned() } else { format!("{line} {word}") };
                if !line.is_empty() && self.width(&longer, size) > most {
                    lines.push(std::mem::replace(&mut line, word.to_owned()));
                } else {
                    line = longer;
                }
            }
            lines.push(line);
        }
        lines
    }
}

struct Faces {
    plain: Face,
    bold: Face,
}

static FACES: LazyLock<Option<Faces>> = LazyLock::new(|| {
    let plain = Face::new(include_bytes!("../fonts/DejaVuSans.ttf"))?;
    Some(Faces { plain, bold: Face::new(include_bytes!("../fonts/DejaVuSans-Bold.ttf"))? })
});

/// Text at a place.
struct Text {
    page: usize,
    x: f32,
    y: f32,
    size: f32,
    bold: bool,
    colour: (u8, u8, u8),
    said: String,
}

/// What is drawn, page by page: laid out first, since the last page tells how many there are.
struct Sheet<'a> {
    faces: &'a Faces,
    texts: Vec<Text>,
    rules: Vec<(usize, f32)>,
    page: usize,
    y: f32,
    size: f32,
    bold: bool,
    colour: (u8, u8, u8),
}

impl<'a> Sheet<'a> {
    fn new(faces: &'a Faces) -> Self {
        Self { faces, texts: Vec::new(), rules: Vec::new(), page: 0, y: 72.0, size: 9.5, bold: false, colour: INK }
    }

    fn face(&self) -> &'a Face {
        if self.bold { &self.faces.bold } else { &self.faces.plain }
    }

    fn style(&mut self, size: f32, bold: bool, colour: (u8, u8, u8)) {
        (self.size, self.bold, self.colour) = (size, bold, colour);
    }

    fn at(&mut self, x: f32, text: &str) {
        let Self { page, y, size, bold, colour, .. } = *self;
        let text = self.face().known(text);
        if !text.is_empty() {
            self.texts.push(Text { page, x, y, size, bold, colour, said: text });
        }
    }

    fn ending_at(&mut self, x: f32, text: &str) {
        let width = self.face().width(&self.face().known(text), self.size);
        self.at(x - width, text);
    }

    fn down(&mut self, lines: f32) {
        self.y += self.size * LEADING * lines;
    }

    /// Goes on on the next page where there is no room for so much.
    fn needs(&mut self, height: f32) -> bool {
        let full = self.y + height > BOTTOM;
        if full {
            (self.page, self.y) = (self.page + 1, 72.0);
        }
        full
    }

    fn rule(&mut self) {
        self.rules.push((self.page, self.y - self.size * 0.4));
        self.down(0.9);
    }

    /// Lines below each other. Where the next would stand.
    fn block(&mut self, x: f32, most: f32, text: &str) {
        for line in self.face().broken(text, self.size, most) {
            self.at(x, &line);
            self.down(1.0);
        }
    }
}

const QUANTITY: f32 = RIGHT - 110.0;
const PERIOD: f32 = LEFT + 200.0;

fn titled(it: &Invoice, words: &Words) -> &'static str {
    if it.original().is_some() { words.credit_note } else { words.invoice }
}

fn head(sheet: &mut Sheet<'_>, it: &Invoice, number: &str, words: &Words, language: Language) {
    sheet.style(11.0, true, INK);
    if let Some(seller) = it.seller() {
        sheet.at(LEFT, seller.name.as_str());
        sheet.down(1.0);
        sheet.style(9.0, false, QUIET);
        sheet.block(LEFT, 260.0, &format!("{}\n{}", seller.address, seller.country));
        let ids = [
            (words.tax_id, seller.tax_id.as_ref().map(|it| it.as_str().to_owned())),
            (words.registration, seller.registration.as_ref().map(ToString::to_string)),
        ];
        for (word, id) in ids.into_iter().filter_map(|(word, id)| Some((word, id?))) {
            sheet.block(LEFT, 260.0, &format!("{word}: {id}"));
        }
        if let Some(email) = &seller.email {
            sheet.block(LEFT, 260.0, email.as_str());
        }
    }
    let below = sheet.y;
    sheet.y = 72.0;
    sheet.style(18.0, true, INK);
    sheet.ending_at(RIGHT, titled(it, words));
    sheet.down(1.1);
    sheet.style(10.0, true, INK);
    sheet.ending_at(RIGHT, number);
    sheet.down(1.1);
    sheet.style(9.5, false, QUIET);
    let due = it.due().filter(|_| it.original().is_none());
    if let Some(original) = it.original() {
        sheet.ending_at(RIGHT, &format!("{} {}", words.takes_back, original.number));
        sheet.down(1.0);
    }
    for (word, at) in [(words.date, it.date()), (words.due, due)] {
        if let Some(at) = at {
            sheet.ending_at(RIGHT, &format!("{word}: {}", day(at, language)));
            sheet.down(1.0);
        }
    }
    sheet.y = sheet.y.max(below) + 24.0;
    if let Some(buyer) = it.buyer() {
        sheet.style(9.0, false, QUIET);
        sheet.at(LEFT, words.to);
        sheet.down(1.1);
        sheet.style(10.0, true, INK);
        sheet.block(LEFT, 300.0, buyer.name.as_str());
        sheet.style(9.5, false, INK);
        sheet.block(LEFT, 300.0, &format!("{}\n{}", buyer.address, buyer.country));
        if let Some(id) = &buyer.tax_id {
            sheet.block(LEFT, 300.0, &format!("{}: {}", words.tax_id, id.as_str()));
        }
    }
    sheet.y += 22.0;
}

fn titles(sheet: &mut Sheet<'_>, words: &Words) {
    sheet.style(8.5, true, QUIET);
    sheet.at(LEFT, words.what);
    sheet.at(PERIOD, words.period);
    sheet.ending_at(QUANTITY, words.quantity);
    sheet.ending_at(RIGHT, words.amount);
    sheet.down(1.0);
    sheet.rule();
}

fn body(sheet: &mut Sheet<'_>, it: &Invoice, words: &Words, language: Language) {
    titles(sheet, words);
    for line in it.lines() {
        sheet.style(9.5, false, INK);
        let names = sheet.face().broken(&line.text, sheet.size, PERIOD - LEFT - 12.0);
        sheet.style(8.0, false, QUIET);
        let notes: Vec<String> =
            line.explanation.iter().flat_map(|note| sheet.face().broken(note, 8.0, QUANTITY - LEFT - 60.0)).collect();
        #[expect(clippy::cast_precision_loss, reason = "a line of an invoice has few lines of text")]
        let height = names.len() as f32 * 9.5 * LEADING + notes.len().min(4) as f32 * 8.0 * LEADING;
        if sheet.needs(height + 12.0) {
            titles(sheet, words);
        }
        sheet.style(9.5, false, INK);
        let top = sheet.y;
        sheet.ending_at(RIGHT, &amount(line.amount, language));
        if let Some(quantity) = &line.quantity {
            sheet.ending_at(QUANTITY, quantity);
        }
        sheet.style(8.5, false, QUIET);
        sheet.at(PERIOD, &format!("{} – {}", day(line.from, language), day(line.until, language)));
        sheet.style(9.5, false, INK);
        sheet.y = top;
        for name in &names {
            sheet.at(LEFT, name);
            sheet.down(1.0);
        }
        sheet.style(8.0, false, QUIET);
        for note in &notes {
            sheet.needs(12.0);
            sheet.at(LEFT, note);
            sheet.down(1.0);
        }
        sheet.y += 4.0;
    }
    sheet.style(9.5, false, INK);
    sheet.rule();
}

fn sums(sheet: &mut Sheet<'_>, it: &Invoice, number: &str, words: &Words, language: Language) -> Result<(), Missing> {
    sheet.needs(150.0);
    let tax = it.tax();
    let rate = format!("{} {}.{:02} %", words.tax, tax.rate / 100, tax.rate % 100);
    let mut rows = vec![
        (words.net.to_owned(), it.net(), false),
        (rate, tax.amount, false),
        (words.total.to_owned(), it.total(), true),
    ];
    if let Some(credits) = it.credits().filter(|it| !it.is_zero()) {
        rows.push((words.credits.to_owned(), credits.negated().map_err(|_| Missing::Drawn)?, false));
        rows.push((words.open.to_owned(), it.total().minus(credits).map_err(|_| Missing::Drawn)?, true));
    }
    for (word, sum, bold) in rows {
        sheet.style(if bold { 10.5 } else { 9.5 }, bold, INK);
        sheet.ending_at(RIGHT - 120.0, &word);
        sheet.ending_at(RIGHT, &amount(sum, language));
        sheet.down(1.15);
    }
    sheet.y += 14.0;
    sheet.style(9.0, false, INK);
    let said = match tax.treatment {
        Treatment::ReverseCharge => Some(words.reverse_charge),
        Treatment::Exempt => Some(words.exempt),
        _ => None,
    };
    let void = (it.state() == InvoiceState::Void).then_some(words.void);
    for said in said.into_iter().chain(void) {
        sheet.block(LEFT, RIGHT - LEFT, said);
    }
    let bank = it.seller().and_then(|seller| seller.bank_account.as_ref()).filter(|_| it.original().is_none());
    if let Some(bank) = bank {
        sheet.y += 6.0;
        let bic = bank.bic.as_ref().map(|bic| format!(", BIC {bic}")).unwrap_or_default();
        sheet.block(
            LEFT,
            RIGHT - LEFT,
            &format!("{} {}, IBAN {}{bic}. {}: {number}", words.bank, bank.holder, bank.iban, words.reference),
        );
    }
    Ok(())
}

fn fill((red, green, blue): (u8, u8, u8)) -> Fill {
    Fill { paint: rgb::Color::new(red, green, blue).into(), ..Fill::default() }
}

fn draw(surface: &mut Surface<'_>, sheet: &Sheet<'_>, page: usize) {
    surface.set_fill(Some(fill(RULE)));
    for (_, y) in sheet.rules.iter().filter(|(of, _)| *of == page) {
        let mut path = PathBuilder::new();
        if let Some(rect) = Rect::from_ltrb(LEFT, *y, RIGHT, *y + 0.7) {
            path.push_rect(rect);
        }
        if let Some(path) = path.finish() {
            surface.draw_path(&path);
        }
    }
    for it in sheet.texts.iter().filter(|it| it.page == page) {
        let face = if it.bold { &sheet.faces.bold } else { &sheet.faces.plain };
        surface.set_fill(Some(fill(it.colour)));
        let (at, font) = (Point::from_xy(it.x, it.y), face.font.clone());
        surface.draw_text(at, font, it.size, &it.said, false, TextDirection::Auto);
    }
}

fn archival() -> Option<Configuration> {
    ConfigurationBuilder::new().with_archival_validator(Archival::A3_B).finish().ok()
}

fn moment(at: Timestamp) -> DateTime {
    let at = jiff::tz::TimeZone::UTC.to_datetime(at);
    let small = |it: i8| u8::try_from(it).unwrap_or_default();
    DateTime::new(u16::try_from(at.year()).unwrap_or_default())
        .month(small(at.month()))
        .day(small(at.day()))
        .hour(small(at.hour()))
        .minute(small(at.minute()))
        .second(small(at.second()))
        .utc_offset_hour(0)
        .utc_offset_minute(0)
}

/// The invoice as PDF, in a language.
pub fn pdf(it: &Invoice, language: Language) -> Result<Vec<u8>, Missing> {
    let number = it.numbered().ok_or(Missing::Number)?;
    let faces = FACES.as_ref().ok_or(Missing::Drawn)?;
    let (words, mut sheet) = (language.words(), Sheet::new(faces));
    head(&mut sheet, it, number, words, language);
    body(&mut sheet, it, words, language);
    sums(&mut sheet, it, number, words, language)?;
    let pages = sheet.page + 1;
    for page in 0..pages {
        (sheet.page, sheet.y) = (page, HEIGHT - 40.0);
        sheet.style(8.0, false, QUIET);
        sheet.ending_at(RIGHT, &format!("{number} · {} {}/{pages}", words.page, page + 1));
    }
    let configuration = archival().ok_or(Missing::Drawn)?;
    let mut document = Document::new_with(SerializeSettings { configuration, ..SerializeSettings::default() });
    for page in 0..pages {
        let mut paper = document.start_page_with(PageSettings::from_wh(WIDTH, HEIGHT).ok_or(Missing::Drawn)?);
        let mut surface = paper.surface();
        draw(&mut surface, &sheet, page);
        surface.finish();
        paper.finish();
    }
    let made = it.date().unwrap_or(Timestamp::UNIX_EPOCH);
    let seller = it.seller().map(|seller| seller.name.to_string());
    document.set_metadata(
        Metadata::new()
            .title(format!("{} {number}", titled(it, words)))
            .language(language.code().to_owned())
            .authors(seller.into_iter().collect())
            .creation_date(moment(made)),
    );
    // What programs read, where it can be made.
    if let Ok(xml) = ubl(it) {
        let file = EmbeddedFile {
            path: format!("{number}.xml"),
            mime_type: MimeType::new("text/xml"),
            description: Some("The same invoice as UBL (EN 16931)".to_owned()),
            association_kind: AssociationKind::Alternative,
            data: xml.into_bytes().into(),
            modification_date: Some(moment(made)),
            compress: Some(true),
            location: None,
        };
        document.embed_file(file).ok_or(Missing::Drawn)?;
    }
    document.finish().map_err(|_| Missing::Drawn)
}
