//! The inbox in the product: what a person was told there, read or not, archived or not.

use contracts::notifications::NotificationId;
use kernel::{Cx, Granted, Handle, List, Problem, Timestamp, text::Key, use_case};
use permissions as may;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::{Loaded, Page};

use crate::{
    Notifications,
    notification::{Notification, queries::page},
};

/// How far unread messages are counted, and how many are marked as read at once.
const COUNTED: usize = 100;

/// A message in the inbox.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct MessageView {
    /// The id of the notification.
    id: NotificationId,
    /// Its category.
    category: Key,
    /// Its heading.
    subject: String,
    /// What it says.
    text: String,
    /// Where it leads.
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<String>,
    /// When it was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    read: Option<Timestamp>,
    /// Whether it was put aside.
    archived: bool,
    /// When it came.
    #[schemars(with = "String")]
    created: Timestamp,
}

impl From<&Notification> for MessageView {
    fn from(it: &Notification) -> Self {
        let content = &it.draft.content;
        Self {
            id: it.id,
            category: it.draft.category.clone(),
            subject: content.subject.clone(),
            text: content.text.clone(),
            link: content.link.clone(),
            read: it.seen.read,
            archived: it.seen.archived,
            created: it.created,
        }
    }
}

/// Which messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Folder {
    /// All that were not put aside.
    #[default]
    Inbox,
    /// Those of them that were not read.
    Unread,
    /// Those that were put aside.
    Archived,
}

impl Folder {
    const fn index(self) -> &'static str {
        match self {
            Self::Inbox => "inbox",
            Self::Unread => "unread",
            Self::Archived => "archived",
        }
    }
}

/// The caller's inbox, the newest first.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListInbox {
    /// Which messages.
    #[serde(default)]
    folder: Folder,
    /// Go on after this cursor.
    after: Option<String>,
    /// At most so many, up to 200; 50 unless told.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
}

use_case!(ListInbox => List<MessageView>, "notifications.inbox.list", Tenant, may::INBOX_READ, Tell);

impl Handle<ListInbox> for Notifications {
    async fn handle(&self, it: ListInbox, cx: Granted<ListInbox>) -> Result<List<MessageView>, Problem> {
        let (user, page) = (cx.user()?, page(it.after, it.limit));
        cx.permit_owner(Some(user))?;
        let listed = self.store.at(&cx).list::<Notification>(it.folder.index(), &user.to_string(), &page).await?;
        Ok(List { items: listed.items.iter().map(|it| (&**it).into()).collect(), next: listed.next })
    }
}

/// How many messages are unread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct UnreadView {
    /// So many; counted up to 100.
    unread: usize,
}

/// How many messages of the caller are unread, counted up to 100.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CountUnread {}

use_case!(CountUnread => UnreadView, "notifications.inbox.unread", Tenant, may::INBOX_READ, Tell);

impl Handle<CountUnread> for Notifications {
    async fn handle(&self, _: CountUnread, cx: Granted<CountUnread>) -> Result<UnreadView, Problem> {
        cx.permit_owner(Some(cx.user()?))?;
        Ok(UnreadView { unread: self.unread(&cx).await?.len() })
    }
}

/// Marks a message of the caller's inbox: read or not, put aside or not.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MarkMessage {
    /// Which.
    notification: NotificationId,
    /// Whether it is read.
    read: Option<bool>,
    /// Whether it is put aside.
    archived: Option<bool>,
}

use_case!(MarkMessage => MessageView, "notifications.inbox.mark", Tenant, may::INBOX_UPDATE);

impl Handle<MarkMessage> for Notifications {
    async fn handle(&self, it: MarkMessage, cx: Granted<MarkMessage>) -> Result<MessageView, Problem> {
        let (now, none) = (cx.now(), || Problem::not_found("message"));
        let store = self.store.at(&cx);
        let changed = store.change(&it.notification, |message: &mut Notification| {
            // Another's, or one that never was in the inbox, is none.
            cx.permit(message).map_err(|_| none())?;
            if !message.in_inbox() {
                return Err(none());
            }
            if let Some(archived) = it.archived {
                message.seen.archived = archived;
            }
            Ok(it.read.map(|read| message.mark(read, now)).unwrap_or_default())
        });
        Ok((&*changed.await?).into())
    }
}

/// Marks the newest 100 unread messages of the caller's inbox as read; repeat it until none is unread.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MarkAllRead {}

use_case!(MarkAllRead => UnreadView, "notifications.inbox.mark_all_read", Tenant, may::INBOX_UPDATE);

impl Handle<MarkAllRead> for Notifications {
    async fn handle(&self, _: MarkAllRead, cx: Granted<MarkAllRead>) -> Result<UnreadView, Problem> {
        cx.permit_owner(Some(cx.user()?))?;
        let (store, now) = (self.store.at(&cx), cx.now());
        for it in self.unread(&cx).await? {
            store.change(&it.id, |message: &mut Notification| Ok(message.mark(true, now))).await?;
        }
        Ok(UnreadView { unread: self.unread(&cx).await?.len() })
    }
}

impl Notifications {
    async fn unread(&self, cx: &Cx) -> Result<Vec<Loaded<Notification>>, Problem> {
        let page = Page { limit: COUNTED, newest_first: true, ..Page::default() };
        Ok(self.store.at(cx).list::<Notification>("unread", &cx.user()?.to_string(), &page).await?.items)
    }
}
